package PVE::OCI::EngineFiles;

# Opens what a call of the embedded engine works on, as the daemon does for its workers: the archive
# for reading only, the root directory as a mount of its own.

use v5.36;

use Errno qw(EINVAL EPERM);
use Fcntl
    qw(F_GETFL O_ACCMODE O_DIRECTORY O_NOCTTY O_NONBLOCK O_RDONLY O_WRONLY S_ISBLK S_ISCHR S_ISDIR
    S_ISFIFO S_ISREG S_ISSOCK);

use PVE::OCI::JVM;
use PVE::OCI::RootDirectory;
use PVE::OCI::RootLock;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

my $O_PATH = 0x200000; # Fcntl does not know it

# Dies with an error of io.pve.oci.
sub fail ($name, $message, $parameters = {}) {
    my $line = PVE::OCI::Text::one_line($message);
    PVE::OCI::Varlink::fail("io.pve.oci.$name", $line, { $parameters->%*, message => $line });
}

# Dies with the daemon's error for a call whose parameter $field is missing or not what it must be.
sub fail_parameter ($field) {
    PVE::OCI::Varlink::fail(
        'org.varlink.service.InvalidParameter',
        "parameter $field of the call is missing or not valid",
        { parameter => $field },
    );
}

my sub system_error ($what, $path, $operation, $message = "$what: $operation") {
    my $errno = $! + 0;
    my ($name) = sort grep { $!{$_} } keys %!;
    fail(
        'SystemError', "$message: $! ($name)",
        { operation => $operation, path => $path, errno => $errno, errnoName => $name },
    );
}

# The same message as in the daemon: service.OciErrors.
my sub cannot_open ($name, $path) {
    system_error($name, $path, 'openat', "cannot open $name");
}

my sub require_absolute ($path, $field) {
    return if $path =~ m{\A/[^\0]*\z};
    fail('InvalidArgument', "$field is not an absolute path: $path", { parameter => $field });
}

# The bytes of a path that came as characters.
my sub path_bytes ($path) {
    utf8::encode($path);
    return $path;
}

# The descriptor that a call names, as a handle of its own; undef when the call names a path. It has
# to name one of the two.
my sub passed_handle ($parameters, $path_field, $descriptors) {
    my $field = ($path_field =~ s/Path\z//r) . 'FileDescriptor';
    my ($path, $index) = $parameters->@{ $path_field, $field };
    if (!defined($index)) {
        fail_parameter($path_field) if !defined($path);
        return;
    }
    fail_parameter($field) if defined($path) || $index < 0 || $index > $descriptors->$#*;
    open(my $handle, '<&', $descriptors->[$index]) or system_error($field, undef, 'dup');
    return $handle;
}

my sub clone_mount ($handle, $name, $is_read_only) {
    my $fd = PVE::OCI::JVM::clone_mount(fileno($handle), $is_read_only);
    if ($fd < 0) {
        return $handle if $! == EPERM; # who may not mount works without
        fail('InvalidArgument', "$name is not on a mount of this process's mount namespace")
            if $! == EINVAL;
        system_error($name, $name, 'open_tree');
    }
    open(my $tree, '<&=', $fd) or system_error($name, $name, 'fdopen');
    return $tree;
}

# A descriptor that was passed is opened anew, for reading. So it must have been open for reading
# too.
my sub require_readable ($handle) {
    my $flags = fcntl($handle, F_GETFL, 0) // system_error('archive', undef, 'fcntl');
    return if !($flags & $O_PATH) && ($flags & O_ACCMODE) != O_WRONLY;
    fail(
        'InvalidArgument',
        'archive is not open for reading',
        { parameter => 'archiveFileDescriptor' },
    );
}

# The file or directory on a read-only mount of its own. A handle for reading would not protect it:
# chmod and the like do not need one for writing. A file is opened through the mount, so position,
# flags and locks are not the caller's. A caller who may not mount passes the handle itself: the
# engine then runs with his own rights.
my sub read_only ($handle, $name, $is_directory) {
    my $mount = clone_mount($handle, $name, 1);
    return $mount if $is_directory;
    my $link = '/proc/self/fd/' . fileno($mount);
    sysopen(my $file, $link, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        or system_error($name, undef, 'openat');
    return $file;
}

# Opens the archive of the call. Returns { handle, name }.
sub open_archive ($parameters, $descriptors) {
    my $name = 'archive';
    my $path = $parameters->{archivePath};
    my $handle = passed_handle($parameters, 'archivePath', $descriptors);
    my @status;
    if (defined($path)) {
        require_absolute($path, 'archivePath');
        $name = PVE::OCI::Text::one_line($path);
        @status = stat(path_bytes($path)) or cannot_open($name, $path);
    } else {
        require_readable($handle);
        my $link = readlink('/proc/self/fd/' . fileno($handle));
        $name = PVE::OCI::Text::one_line($link) if defined($link);
        @status = stat($handle) or system_error($name, undef, 'statx');
    }
    my $mode = $status[2];
    if (!S_ISREG($mode) && !S_ISDIR($mode)) {
        my $type =
              S_ISFIFO($mode) ? 'a FIFO'
            : S_ISSOCK($mode) ? 'a socket'
            : S_ISBLK($mode) || S_ISCHR($mode) ? 'a device'
            : 'no file';
        my $parameter = defined($path) ? 'archivePath' : 'archiveFileDescriptor';
        fail(
            'InvalidArgument', "$name is $type: neither a regular file nor a directory",
            { parameter => $parameter },
        );
    }
    if (defined($path)) {
        sysopen($handle, path_bytes($path), O_RDONLY | O_NONBLOCK | O_NOCTTY)
            or cannot_open($name, $path);
    }
    my $is_directory = S_ISDIR($mode) ? 1 : 0;
    $handle = read_only($handle, $name, $is_directory);
    return { handle => $handle, name => $name };
}

# Refuses the host's root, and directories above the engine's own files, by whatever path they are
# named.
my sub require_unprotected ($handle, $name, $settings) {
    my ($device, $inode) = stat($handle);
    for my $protected ('/', $settings->{binds}->@*, $settings->{library}) {
        for (my $path = $protected; $path ne ''; $path =~ s{/[^/]*\z}{}) {
            my @status = stat($path) or next;
            next if $status[0] != $device || $status[1] != $inode;
            fail(
                'InvalidArgument', "$name cannot be a root directory: it holds $protected",
                { parameter => 'rootDirectory' },
            );
        }
    }
    return;
}

# Makes the engine's root the owner, so that the engine can write. False, and $!, if that fails.
sub give_to_engine ($tree, $maps) {
    my $link = '/proc/self/fd/' . fileno($tree);
    my @status = stat($link) or return 0;
    return 1 if $maps->{is_own} || $status[4] == $maps->{uid} && $status[5] == $maps->{gid};
    return chown($maps->{uid}, $maps->{gid}, $link);
}

# Opens the root directory of the call. Returns { handle, name, link, before }: before are the
# attributes to be given back after a failure. The traits are those of PVE::OCI::WorkerRequest. With
# keeps_system nothing of the directory is changed, so there are only handle, name and the lock.
sub open_root ($parameters, $descriptors, $settings, $maps, $traits) {
    my $path = $parameters->{rootDirectory};
    my $name = defined($path) ? PVE::OCI::Text::one_line($path) : 'root directory';
    my $handle = passed_handle($parameters, 'rootDirectory', $descriptors);
    if (!$handle) {
        require_absolute($path, 'rootDirectory');
        sysopen($handle, path_bytes($path), $O_PATH | O_DIRECTORY)
            or cannot_open($name, $path);
    } elsif (defined(my $link = readlink('/proc/self/fd/' . fileno($handle)))) {
        $name = PVE::OCI::Text::one_line($link);
    }
    my @status = stat($handle) or system_error($name, $path, 'statx');
    fail('InvalidArgument', "$name is not a directory", { parameter => 'rootDirectory' })
        if !S_ISDIR($status[2]);
    require_unprotected($handle, $name, $settings);
    my $changes_system = $traits->{keeps_system} && !$traits->{only_looks};
    my $lock = $changes_system ? PVE::OCI::RootLock::take($handle, $name) : undef;
    my $tree = clone_mount($handle, $name, 0);
    return { handle => $tree, name => $name, lock => $lock } if $traits->{keeps_system};
    my $link = '/proc/self/fd/' . fileno($tree);
    if (defined(my $reason = PVE::OCI::RootDirectory::obstacle($link))) {
        fail(
            'RootDirectoryNotEmpty',
            "root directory $name is not empty: $reason",
            { rootDirectory => $path },
        );
    }
    my $before = PVE::OCI::RootDirectory::attributes($tree);
    give_to_engine($tree, $maps) or system_error($name, $path, 'fchownat');
    return { handle => $tree, name => $name, link => $link, before => $before };
}

1;
