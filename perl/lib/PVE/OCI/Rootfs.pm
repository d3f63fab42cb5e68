package PVE::OCI::Rootfs;

# Reads and writes files in the rootfs of a stopped container from the host.
#
# The content of a rootfs is hostile: any name in it may be a symbolic link to somewhere on the
# host, a FIFO that blocks its reader, or a directory where a file should be. So everything is done
# in a forked child with rootfs as its root directory, and results come back as JSON over a pipe.

use v5.36;

use Errno qw(EINTR);
use Fcntl
    qw(O_CREAT O_EXCL O_NOCTTY O_NOFOLLOW O_NONBLOCK O_RDONLY O_WRONLY S_IMODE S_ISDIR S_ISREG);
use File::Path ();
use POSIX ();

use PVE::OCI::Signals;
use PVE::OCI::Varlink;

my $READ_SIZE = 64 * 1024;
my $MAX_ANSWER_SIZE = 16 * 1024 * 1024;
my $MAX_TRIES = 100;

my sub untaint_path ($path) {
    my ($clean) = $path =~ m{\A(/[^\0]*)\z}s or die "rootfs '$path' is not an absolute path\n";
    return $clean;
}

my sub enter ($directory) {
    chdir($directory) or die "cannot enter rootfs '$directory': $!\n";
    chroot('.') or die "cannot make '$directory' the root directory: $!\n";
    chdir('/') or die "cannot enter the root directory: $!\n";
    return;
}

# In the child: runs the code in the new root and writes what it returned, or its error.
my sub run_child ($directory, $pipe, $code) {
    local @SIG{qw(__DIE__ __WARN__)};
    my $answer = eval {
        enter($_) for split(m{(?<=.)//(?=.)}s, $directory);
        umask(0077);
        return { value => scalar($code->()) };
    };
    $answer = { error => "$@" } if !defined($answer);
    my $bytes = PVE::OCI::Varlink::json()->ascii->encode($answer);
    my $offset = 0;
    while ($offset < length($bytes)) {
        my $count = syswrite($pipe, $bytes, length($bytes) - $offset, $offset);
        POSIX::_exit(1) if !defined($count) && $! != EINTR;
        $offset += $count // 0;
    }
    POSIX::_exit(0);
}

my sub read_all ($pipe) {
    my $bytes = '';
    while (1) {
        my $count = sysread($pipe, $bytes, $READ_SIZE, length($bytes));
        last if defined($count) && $count == 0;
        die "cannot read from the process in rootfs: $!\n" if !defined($count) && $! != EINTR;
        die "too much data out of rootfs\n" if length($bytes) > $MAX_ANSWER_SIZE;
    }
    return $bytes;
}

# What run_in's child writes.
my sub bytes_from ($guard, $directory, $code) {
    pipe(my $reader, my $writer) or die "cannot make a pipe: $!\n";
    my $pid = fork() // die "cannot fork: $!\n";
    if ($pid == 0) {
        $guard->forget_handlers();
        close($reader);
        eval { run_child($directory, $writer, $code) };
        POSIX::_exit(1);
    }
    close($writer);
    my ($bytes, $error) = $guard->attempt(sub { read_all($reader) });
    close($reader);
    kill('KILL', $pid) if !defined($bytes);
    1 while waitpid($pid, 0) < 0 && $! == EINTR;
    die $error if !defined($bytes);
    return $bytes;
}

# Runs code in a process of its own with $directory as its root; returns the plain data it returned.
# ROOTFS//FOLDER is a folder below a rootfs: it is looked for with rootfs as the root directory, so
# links in it lead nowhere else.
# Strings in it are bytes. Dies with its error.
sub run_in ($directory, $code) {
    $directory = untaint_path($directory);
    my $bytes = PVE::OCI::Signals::guard(sub ($guard) {
        bytes_from($guard, $directory, $code);
    });
    my $answer = eval { PVE::OCI::Varlink::json()->utf8->decode($bytes) };
    die "the process in rootfs '$directory' ended without a result\n" if ref($answer) ne 'HASH';
    die $answer->{error} if defined($answer->{error});
    return $answer->{value};
}

# Puts files into the root directory: each is what replace_file takes.
sub replace_files ($directory, @files) {
    run_in(
        $directory,
        sub {
            replace_file($_->@*) for @files;
            return 1;
        },
    ) if @files;
    return;
}

# The following run inside, as code given to run_in.

# The content of a regular file, undef if there is none. Links are followed if $is_following.
# Neither a FIFO nor a device may be opened: hence O_NONBLOCK, and the check of the type before.
sub read_file ($path, $max_size, $is_following = 0) {
    my @status = $is_following ? stat($path) : lstat($path);
    return if !@status && ($!{ENOENT} || $!{ENOTDIR} || $!{ELOOP});
    die "cannot look at '$path' in rootfs: $!\n" if !@status;
    die "'$path' in rootfs is not a regular file\n" if !S_ISREG($status[2]);
    die "'$path' in rootfs is larger than $max_size bytes\n" if $status[7] > $max_size;
    my $flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | ($is_following ? 0 : O_NOFOLLOW);
    sysopen(my $handle, $path, $flags) or die "cannot open '$path' in rootfs: $!\n";
    my $content = '';
    while (length($content) <= $max_size) {
        my $count = sysread($handle, $content, $READ_SIZE, length($content));
        die "cannot read '$path' in rootfs: $!\n" if !defined($count);
        return $content if $count == 0;
    }
    die "'$path' in rootfs is larger than $max_size bytes\n";
}

my sub create_temporary ($uid, $gid, $mode) {
    for my $try (1 .. $MAX_TRIES) {
        my $path = sprintf('/.pve.%d.%d.tmp', $$, $try);
        if (sysopen(my $handle, $path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)) {
            chown($uid, $gid, $handle) or die "cannot change the owner of '$path' in rootfs: $!\n";
            chmod($mode, $handle) or die "cannot change the mode of '$path' in rootfs: $!\n";
            return ($handle, $path);
        }
        die "cannot create '$path' in rootfs: $!\n" if !$!{EEXIST};
    }
    die "cannot create a temporary file in rootfs\n";
}

# Puts a file at $path in the root directory. Whatever was there is replaced: a link is not
# followed, a directory is removed with what it holds.
sub replace_file ($path, $content, $uid, $gid, $mode) {
    my ($handle, $temporary) = create_temporary($uid, $gid, $mode);
    my $offset = 0;
    my $count = 0;
    while (defined($count) && $offset < length($content)) {
        $count = syswrite($handle, $content, length($content) - $offset, $offset);
        $offset += $count // 0;
    }
    # some file systems find out only when the file is closed that there is no room for it
    if (!defined($count) || !close($handle)) {
        my $error = "$!";
        unlink($temporary);
        die "cannot write '$path' in rootfs: $error\n";
    }
    my @status = lstat($path);
    File::Path::remove_tree($path, { safe => 0, error => \my $ignored })
        if @status && S_ISDIR($status[2]);
    if (!rename($temporary, $path)) {
        my $error = "$!";
        unlink($temporary);
        die "cannot put '$path' in its place in rootfs: $error\n";
    }
    return 1;
}

# Owner and mode of a regular file, undef if there is none.
sub file_status ($path) {
    my @status = lstat($path);
    return if !@status || !S_ISREG($status[2]);
    return { uid => $status[4], gid => $status[5], mode => S_IMODE($status[2]) };
}

# Makes a directory with its parents, those that are missing. Returns the error, or ''.
sub make_directories ($path, $uid, $gid) {
    my $made = '';
    # the match also takes the taint of the image's path, which can do no harm in this root
    # directory
    for my $name (grep { $_ ne '.' } $path =~ m{([^/\0]+)}g) {
        $made .= "/$name";
        next if -d $made;
        mkdir($made, 0755) or return "$!";
        chown($uid, $gid, $made) or return "$!";
        chmod(0755, $made) or return "$!";
    }
    return '';
}

1;
