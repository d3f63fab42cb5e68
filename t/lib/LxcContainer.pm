# Unprivileged containers of real LXC, with the configuration that the create flow made. They live
# in a mount namespace of the test's own: LXC wants to see nothing but cgroup2, and ranges for
# newuidmap.
package LxcContainer;

use v5.36;

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use TestSupport qw(wait_until);

# Why this cannot be done here, or undef. Starts the test over in a mount namespace of its own; to
# be called before anything else is done.
sub missing() {
    return 'needs root' if $> != 0;
    return 'needs lxc' if system('lxc-start --version >/dev/null 2>&1') != 0;
    if (!$ENV{PVE_OCI_TEST_INNER}) {
        local $ENV{PVE_OCI_TEST_INNER} = 1;
        exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
    }
    my $cgroups =
        'umount -R /sys/fs/cgroup; umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup';
    return 'needs cgroup2' if system("($cgroups) >/dev/null 2>&1") != 0;
    my $ranges = tempdir(CLEANUP => 1);
    for my $name (qw(subuid subgid)) {
        write_file("$ranges/$name", "root:100000:65536\n");
        write_file("/etc/$name", '') if !-e "/etc/$name";
        system('mount', '--bind', "$ranges/$name", "/etc/$name") == 0 or die "mount failed\n";
    }
    return;
}

sub write_file ($path, $content) {
    open(my $handle, '>', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
    return;
}

# Starts a container of this rootfs and configuration as PVE would, and waits until the condition,
# a function of the container, holds. Without a terminal the streams of lxc-start are /dev/null.
sub start ($class, $rootdir, $conf, $is_ready, $terminal = undef) {
    my $folder = tempdir(CLEANUP => 1);
    my $self = bless({ folder => $folder, owner => $$ }, $class);
    chmod(0755, $folder);
    mkdir("$folder/test") or die $!;
    my @init = defined($conf->{entrypoint}) ? (['lxc.init.cmd', $conf->{entrypoint}]) : ();
    my ($id_map) = PVE::LXC::parse_id_maps($conf);
    my @lines = (
        ['lxc.uts.name', 'test'], ['lxc.rootfs.path', "dir:$rootdir"],
        ['lxc.net.0.type', 'empty'],
        ['lxc.apparmor.profile', 'unconfined'], ['lxc.tty.max', 0], ['lxc.autodev', 1],
        ['lxc.mount.auto', 'proc:mixed sys:ro'], ['lxc.environment', 'TERM=linux'],
        (map { ['lxc.idmap', join(' ', $_->@*)] } $id_map->@*), @init,
        grep({ $_->[0] ne 'lxc.idmap' } ($conf->{lxc} // [])->@*),
    );
    write_file("$folder/test/config", join('', map { "$_->[0] = $_->[1]\n" } @lines));
    # in the foreground, and mostly without a terminal, as pve-container@.service does it
    $self->{pid} = fork() // die "fork: $!\n";
    if ($self->{pid} == 0) {
        # a shell that started the tests in the background ignores these, and what is ignored at its
        # start a shell in the container cannot trap
        $SIG{$_} = 'DEFAULT' for qw(INT QUIT HUP);
        my @stream = defined($terminal) ? ('+<&', $terminal) : ('+<', '/dev/null');
        open($_, $stream[0], $stream[1]) or POSIX::_exit(99) for \*STDIN, \*STDOUT, \*STDERR;
        my @log = ('-l', 'INFO', '-o', "$folder/log");
        exec('lxc-start', '-F', '-P', $folder, '-n', 'test', @log) or POSIX::_exit(99);
    }
    wait_until(sub { $is_ready->($self) }) or diag(qx(tail -40 $folder/log));
    return $self;
}

# Ends it by its stop signal; returns the exit status of lxc-stop. A signal that does nothing is
# found out by the time it takes.
sub stop ($self, $timeout = 10) {
    return system('lxc-stop', '-P', $self->{folder}, '-n', 'test', '-t', $timeout);
}

# Its process 1, as the host numbers it; undef if it does not run.
sub init_pid ($self) {
    return qx(lxc-info -P $self->{folder} -n test -pH 2>/dev/null) =~ /\A([0-9]+)/ ? $1 : undef;
}

# Waits until it has ended by itself; returns the exit status of lxc-start.
sub wait_for_end ($self) {
    wait_until(sub { waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid} }) or return;
    return $?;
}

# Runs a command in it; returns its exit code, and what it wrote.
sub attach ($self, @command) {
    pipe(my $reader, my $writer) or die $!;
    my $pid = $self->run_attached($writer, @command);
    close($writer);
    my $text = do { local $/ = undef; readline($reader) };
    waitpid($pid, 0);
    return ($? >> 8, $text // '');
}

# The same with output to this handle; returns its exit code.
sub attach_to ($self, $handle, @command) {
    waitpid($self->run_attached($handle, @command), 0);
    return $? >> 8;
}

sub run_attached ($self, $handle, @command) {
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    open(STDIN, '<', '/dev/null') or POSIX::_exit(99);
    open($_, '>&', $handle) or POSIX::_exit(99) for \*STDOUT, \*STDERR;
    exec('lxc-attach', '-P', $self->{folder}, '-n', 'test', '--', @command) or POSIX::_exit(99);
}

sub DESTROY ($self) {
    return if $self->{owner} != $$;
    local ($?, $@, $!);
    system("lxc-stop -P $self->{folder} -n test -k >/dev/null 2>&1");
    waitpid($self->{pid}, 0);
    return;
}

1;
