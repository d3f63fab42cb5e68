package PVE::OCI::RootDirectory;

# What a root directory may hold before an image is extracted into it, for the embedded engine's
# caller. The daemon and the engine have the same rule, with the same messages, in
# pve.oci.rootfs.ExistingWalk; t/62-root-directory.t tests both.

use v5.36;

use Fcntl qw(O_DIRECTORY O_NOFOLLOW S_ISDIR);
use Time::HiRes ();

use PVE::OCI::ExtendedAttributes;
use PVE::OCI::Text;

my $O_PATH = 0x200000; # Fcntl does not know it
my $MAX_ENTRIES = 10_000;

# The number of the mount that an open file was reached through: proc_pid_fdinfo(5).
my sub mount_id ($handle) {
    open(my $info, '<', '/proc/self/fdinfo/' . fileno($handle)) or return -1;
    while (my $line = readline($info)) {
        return $1 if $line =~ /\Amnt_id:\s*([0-9]+)/;
    }
    return -1;
}

# A file can be a mount point too.
my sub is_on_mount ($path, $mount) {
    sysopen(my $handle, $path, $O_PATH | O_NOFOLLOW) or return 1;
    return mount_id($handle) == $mount;
}

# Says why an image cannot be extracted into the directory at $top, in words that follow "root
# directory NAME is not empty: "; undef if it can. Directories may stand in it, mount points of
# volumes among them. lost+found and volumes that are mounted below may hold anything. A directory
# that may not be read is left to the engine.
sub obstacle ($top) {
    my @pending = ('');
    my ($count, $mount) = (0);
    while (defined(my $path = shift @pending)) {
        opendir(my $directory, "$top/$path") or next;
        $mount //= mount_id($directory);
        next if mount_id($directory) != $mount;
        while (defined(my $entry = readdir($directory))) {
            next if $entry eq '.' || $entry eq '..';
            return "it holds more than $MAX_ENTRIES entries" if ++$count > $MAX_ENTRIES;
            my $relative = $path eq '' ? $entry : "$path/$entry";
            my @status = lstat("$top/$relative") or next;
            if (S_ISDIR($status[2])) {
                push @pending, $relative if $relative ne 'lost+found';
            } elsif (is_on_mount("$top/$relative", $mount)) {
                return
                      'it holds '
                    . PVE::OCI::Text::clean($relative)
                    . '; only lost+found and volumes mounted below it may hold anything but'
                    . ' directories';
            }
        }
    }
    return;
}

# Owner, mode, time and extended attributes of an open directory, to be given to restore later.
# Times are exact to the microsecond.
sub attributes ($handle) {
    my @status = Time::HiRes::stat('/proc/self/fd/' . fileno($handle)) or return;
    return {
        uid => $status[4], gid => $status[5], mode => $status[2] & 07777, time => $status[9],
        extended => PVE::OCI::ExtendedAttributes::read_all($handle),
    };
}

# Gives an open directory what attributes() returned. An attribute that we may not change was not
# changed by us either.
sub restore ($handle, $attributes) {
    my $link = '/proc/self/fd/' . fileno($handle);
    my @status = stat($link) or return;
    my ($uid, $gid, $mode, $time) = $attributes->@{qw(uid gid mode time)};
    chown($uid, $gid, $link) if $status[4] != $uid || $status[5] != $gid;
    # first: an ACL's mask is the group's part of the mode
    PVE::OCI::ExtendedAttributes::restore($handle, $attributes->{extended});
    chmod($mode, $link) if ((stat($link))[2] & 07777) != $mode;
    Time::HiRes::utime($time, $time, $link);
    return;
}

# Opens a directory below another one for O_PATH; no link on the way is followed. undef when there
# is none.
sub open_below ($top, $path) {
    my $current = $top;
    for my $name (split(m{/}, $path)) {
        my $parent = '/proc/self/fd/' . fileno($current);
        sysopen(my $next, "$parent/$name", $O_PATH | O_DIRECTORY | O_NOFOLLOW) or return;
        $current = $next;
    }
    return $current;
}

1;
