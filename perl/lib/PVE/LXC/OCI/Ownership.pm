package PVE::LXC::OCI::Ownership;

# Whose the data in a container is, after an image has got another user: finds it, and gives it to
# the new one. Runs with rootfs as the root directory and follows no link.

use v5.36;

use File::Find ();
use Fcntl qw(S_ISLNK S_ISREG);
use POSIX ();

use PVE::OCI::RootUpdate;
use PVE::OCI::Rootfs;
use PVE::OCI::Text;

# So many entries of a path are looked at to find out whether somebody owns data in it.
my $MAX_LOOKED_AT = 100_000;

my $SET_IDS = 06000;

# fchownat(2), by machine of uname(2).
my $FCHOWNAT = { x86_64 => 260, aarch64 => 54, riscv64 => 54 };
my $AT_FDCWD = -100;
my $AT_SYMLINK_NOFOLLOW = 0x100;

# The host's id for one of the container's; undef if the container does not have it.
my sub host_id ($id_map, $id) {
    return $id if !$id_map->@*;
    for my $entry (grep { $_->[0] eq 'u' } $id_map->@*) {
        my (undef, $inside, $outside, $count) = $entry->@*;
        return $outside + $id - $inside if $id >= $inside && $id < $inside + $count;
    }
    return;
}

my sub walk ($path, $code) {
    File::Find::find(
        { wanted => $code, untaint => 1, untaint_pattern => qr{\A(.+)\z}s }, $path,
    );
    return;
}

# Those of the paths in which the container's user owns something.
sub owned_by ($place, $uid, @paths) {
    my $id = host_id($place->{id_maps}->[0], $uid) // return;
    my $found = PVE::OCI::Rootfs::run_in(
        $place->{rootdir},
        sub {
            my @owned;
            for my $index (0 .. $#paths) {
                my ($is_owned, $count) = (0, 0);
                my $look = sub {
                    my @status = lstat($_) or return;
                    $is_owned = 1 if $status[4] == $id;
                    die "enough\n" if $is_owned || ++$count > $MAX_LOOKED_AT;
                };
                eval { walk(PVE::OCI::RootUpdate::path_bytes($paths[$index]), $look) };
                push @owned, $index if $is_owned;
            }
            return \@owned;
        },
    );
    return map { PVE::OCI::Text::one_line($paths[$_]) } $found->@*;
}

my sub change_one ($entry, $from, $to) {
    my ($name) = $entry =~ /\A(.+)\z/s; # a name cannot lead out of this root directory
    my @status = lstat($name) or return 0;
    my ($mode, $owner) = @status[2, 4];
    return 0 if $owner != $from;
    if (S_ISLNK($mode)) {               # perl's chown would follow it
        my $number = $FCHOWNAT->{ (POSIX::uname())[4] } // return 0;
        my $path = "$name";
        return syscall($number, $AT_FDCWD, $path, $to, -1, $AT_SYMLINK_NOFOLLOW) == 0 ? 1 : 0;
    }
    chown($to, -1, $name) or return 0;
    # changing the owner clears them
    chmod($mode & 07777, $name) if S_ISREG($mode) && $mode & $SET_IDS;
    return 1;
}

# Gives what belongs to the first id of each pair to the second; returns lines that say how much.
sub change ($place, $pairs, @paths) {
    my @lines;
    for my $pair ($pairs->@*) {
        my ($from, $to) = map { host_id($place->{id_maps}->[0], $_) } $pair->@*;
        if (!defined($from) || !defined($to)) {
            push @lines,
                "warning: --chown $pair->[0]:$pair->[1] is outside of the container's id map";
            next;
        }
        my $done = PVE::OCI::Rootfs::run_in(
            $place->{rootdir},
            sub {
                my $changed = 0;
                my $change = sub { $changed += change_one($_, $from, $to) };
                my $is_whole = eval {
                    walk(PVE::OCI::RootUpdate::path_bytes($_), $change)
                        for @paths;
                    1;
                };
                return { count => $changed, error => $is_whole ? '' : $@ };
            },
        );
        push @lines, "$done->{count} entries of user $pair->[0] belong to user $pair->[1] now";
        push @lines, "warning: --chown $pair->[0]:$pair->[1] was not finished: $done->{error}"
            if $done->{error} ne '';
    }
    return @lines;
}

1;
