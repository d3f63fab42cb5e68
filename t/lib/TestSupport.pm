# What the tests share: where things are, descriptors over sockets, mounts, and workers started as
# the daemon does it.
package TestSupport;

use v5.36;

use Cwd qw(abs_path);
use Errno ();
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Handle;
use IO::Select;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM SOL_SOCKET sockaddr_un);
use Test::More;
use Time::HiRes qw(clock sleep time);

require 'syscall.ph'; ## no critic (RequireBarewordIncludes): it is no module

our @EXPORT_OK = qw(
    ask at_most child_of class_path clone_mount errno_name home jdks namespace_of patience
    process_status root send_with_fds settings_file start_worker status_of stop_worker system_call
    wait_until worker_options
);

# Newer than syscall.ph may be; one number on every architecture.
my %new_call = (open_tree => 428, mount_setattr => 442, fchmodat2 => 452, setxattrat => 463);

my %mount_attribute = (rdonly => 1, nosuid => 2, nodev => 4, noexec => 8);

use constant {
    OPEN_TREE_CLONE => 1,
    OPEN_TREE_CLOEXEC => 0x80000,
    AT_FDCWD => -100,
    AT_EMPTY_PATH => 0x1000,
    AT_RECURSIVE => 0x8000,
    SCM_RIGHTS => 1,
};

sub root() {
    return abs_path(dirname(__FILE__) . '/../..');
}

# What pve.oci.home is to the Java side: the tree's target/ or the installed directory.
sub home() {
    return abs_path($ENV{PVE_OCI_HOME} // root() . '/target');
}

# For programs that the tests are made of in Java: their classes, ours, and every library.
sub class_path() {
    my $home = home();
    return join(
        ':', "$home/test-classes", "$home/classes",
        glob("$home/lib/*.jar $home/lib/daemon/*.jar")
    );
}

# The JDKs to test with: those that PVE_OCI_TEST_JDKS names, separated by colons, or all there are.
sub jdks() {
    my $named = $ENV{PVE_OCI_TEST_JDKS};
    my @candidates = defined($named) ? split(/:/, $named) : glob('/usr/lib/jvm/*');
    my %jdk =
        map { $_ => 1 } map { abs_path($_) } grep { -e "$_/lib/server/libjvm.so" } @candidates;
    my @sorted = sort keys %jdk;
    return @sorted;
}

# Seconds to wait for what must happen; a loaded machine is no failure.
sub patience() {
    return $ENV{PVE_OCI_TEST_PATIENCE} // 20;
}

# So many seconds of a machine that has a core for each of those who work. Where a computation of a
# twentieth of a second takes n times as long, because others work too, n times as many.
sub at_most ($seconds) {
    my ($start, $used) = (time(), clock());
    while (clock() - $used < 0.05) {
        my $sum = eval { join('', 1 .. 1000) }
    }
    my $times = (time() - $start) / (clock() - $used);
    return $seconds * ($times > 1 ? $times : 1);
}

# From here on the process is in a new network namespace.
sub enter_network_namespace() {
    my $CLONE_NEWNET = 0x40000000;
    syscall(SYS_unshare(), $CLONE_NEWNET) == 0 or die "unshare: $!\n";
    return;
}

# The number of a system call on this machine.
sub system_call ($name) {
    return $new_call{$name} // __PACKAGE__->can("SYS_$name")->();
}

# A configuration file of these lines.
sub settings_file (@lines) {
    require File::Temp;
    my $file = File::Temp->new(SUFFIX => '.conf');
    print {$file} map { "$_\n" } @lines;
    close($file) or die "$file: $!\n";
    return $file;
}

sub wait_until ($condition, $seconds = patience()) {
    my $end = time() + $seconds;
    my $pause = 0.004;
    while (!$condition->()) {
        return 0 if time() > $end;
        sleep $pause;
        $pause *= 1.3 if $pause < 0.06; # some conditions take milliseconds of processor time
    }
    return 1;
}

sub errno_name ($number) {
    local $! = $number;
    my ($name) = sort grep { $!{$_} } keys %!;
    return $name // $number;
}

# struct msghdr with one vector and one control message, as 64-bit Linux has them; core Perl knows
# sendmsg only so.
sub send_with_fds ($socket, $bytes, @fds) {
    my $vector = pack('P Q', $bytes, length($bytes));
    my $control = @fds ? pack('Q l l l*', 16 + 4 * @fds, SOL_SOCKET, SCM_RIGHTS, @fds) : '';
    $control .= "\0" x (-length($control) % 8);
    my $pointer = @fds ? pack('P', $control) : pack('Q', 0);
    my $header =
        pack('Q L x4 P Q', 0, 0, $vector, 1) . $pointer . pack('Q L x4', length($control), 0);
    my $sent = syscall(SYS_sendmsg(), fileno($socket), $header, 0);
    die "sendmsg: $!\n" if $sent != length($bytes);
    return;
}

# A detached mount of a directory: `..` ends at it, whatever the receiver does. Returns a number,
# to be closed by POSIX::close.
sub clone_mount ($directory, @attributes) {
    my $path = "$directory";
    my $fd = syscall(
        $new_call{open_tree}, AT_FDCWD, $path,
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    );
    die "open_tree $directory: $!\n" if $fd < 0;
    my $set = 0;
    $set |= $mount_attribute{$_} for @attributes;
    my $attributes = pack('Q4', $set, 0, 0, 0);
    my $empty = '';
    syscall(
        $new_call{mount_setattr}, $fd, $empty, AT_EMPTY_PATH | AT_RECURSIVE, $attributes,
        length($attributes)
        ) == 0
        or die "mount_setattr $directory: $!\n";
    return $fd;
}

# The fields of /proc/PID/status; nothing when there is no such process any more, zombies included.
sub process_status ($pid) {
    open(my $file, '<', "/proc/$pid/status") or return;
    my %field = map { /^(\w+):\s*(.*)$/ ? ($1 => $2) : () } <$file>;
    return if !%field || $field{State} =~ /^[ZX]/;
    return \%field;
}

sub child_of ($pid) {
    for my $directory (glob('/proc/[0-9]*')) {
        my $status = process_status($directory =~ s!.*/!!r) or next;
        return $status->{Pid} if $status->{PPid} == $pid;
    }
    return;
}

sub namespace_of ($pid, $name) {
    return readlink("/proc/$pid/ns/$name") // die "readlink /proc/$pid/ns/$name: $!\n";
}

# 'exit N' or 'signal N', as a caller of waitpid sees it.
sub status_of ($status) {
    return $status & 127 ? 'signal ' . ($status & 127) : 'exit ' . ($status >> 8);
}

# A listening socket and its path; @NAME for one in the abstract namespace.
my sub listen_on ($path) {
    socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
    bind($listener, sockaddr_un($path =~ s/^@/\0/r)) or die "bind $path: $!\n";
    listen($listener, 1) or die "listen $path: $!\n";
    return $listener;
}

# The launcher's arguments; id_map, bind, nofile, data, only_reads and jvm_options may be missing.
sub worker_options (%worker) {
    my $map = $worker{id_map};
    return (
        '--socket' => $worker{socket},
        '--jvm' => "$worker{jdk}/lib/server/libjvm.so",
        '--home' => home(),
        (map { ('--bind' => $_) } @{ $worker{bind} // [] }),
        (defined($map) ? ('--uidmap' => $map, '--gidmap' => $map) : ()),
        ($worker{only_reads} ? '--only-reads' : ()),
        (defined($worker{data}) ? ('--data' => $worker{data}) : ()),
        (defined($worker{nofile}) ? ('--nofile' => $worker{nofile}) : ()),
        '--class' => $worker{class},
        '--', @{ $worker{jvm_options} // [] },
    );
}

# Starts a worker and accepts its connection, but does not wait for more. Adds pid and connection;
# wrapper is code that gets the command and runs in the child in place of exec.
sub start_worker (%worker) {
    my $listener = listen_on($worker{socket});
    my $start = time();
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>>', $worker{log}) or POSIX::_exit(99);
        local $ENV{PVE_OCI_TEST_SECRET} = 'not for the worker';
        my @command = (home() . '/native/pve-oci-worker', worker_options(%worker));
        $worker{wrapper}->(@command) if $worker{wrapper};
        exec { $command[0] } @command or POSIX::_exit(98);
    }
    my $connection;
    if (IO::Select->new($listener)->can_read(patience())) {
        accept($connection, $listener) or die "accept: $!\n";
    }
    close($listener);
    unlink $worker{socket} if $worker{socket} !~ /^@/;
    return { %worker, pid => $pid, connection => $connection, received => '', started => $start };
}

# Sends a line, with descriptors, and returns the line that comes back; undef at the end of the
# connection.
sub ask ($worker, $line, @fds) {
    my $connection = $worker->{connection} // return;
    if (length($line)) {
        local $SIG{PIPE} = 'IGNORE';
        eval { send_with_fds($connection, "$line\n", @fds); 1 } or return;
    }
    while ($worker->{received} !~ /\n/) {
        die "no answer to: $line\n" if !IO::Select->new($connection)->can_read(patience());
        sysread($connection, $worker->{received}, 65536, length($worker->{received})) or return;
    }
    $worker->{received} =~ s/^([^\n]*)\n//;
    return $1;
}

# Closes the connection and returns how the launcher ended.
sub stop_worker ($worker) {
    close($worker->{connection}) if $worker->{connection};
    my $ended = wait_until(sub { waitpid($worker->{pid}, POSIX::WNOHANG()) == $worker->{pid} });
    if (!$ended) {
        kill KILL => $worker->{pid};
        waitpid($worker->{pid}, 0);
        return 'still there';
    }
    return status_of($?);
}

1;
