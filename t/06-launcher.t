#!/usr/bin/perl
# The launcher: how it ends, what ends with it, which options it takes, and what it says when it
# fails.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select;
use POSIX qw(WNOHANG);
use Socket qw(AF_UNIX SOCK_STREAM SOL_SOCKET SO_PEERCRED sockaddr_un);
use Test::More;
use Time::HiRes qw(sleep time);

use Probe qw(MAP call directory next_path plan_probe probe_of ready_probe);
use TestSupport qw(
    ask at_most child_of home jdks process_status status_of stop_worker wait_until worker_options
);

use constant AT_FDCWD => -100;

plan_probe();

sub reports_its_end ($jdk, @map) {
    # abort() of a process 1: SIGABRT does not end it, so it goes on to SIGSEGV and then to exit
    # 127.
    for my $case (
        ['exit 7' => 'exit 7'], ['throw' => 'exit 1'],
        ['crash' => qr/^exit 1(?:27|34|39)$/]
    ) {
        my ($command, $expected) = $case->@*;
        my $probe = probe_of($jdk, @map);
        ask($probe, '');
        is(ask($probe, $command), undef, "$command: the connection ends");
        like(
            stop_worker($probe), ref($expected) ? $expected : qr/^\Q$expected\E$/,
            "$command: the launcher passes it on"
        );
    }
    my $probe = probe_of($jdk, @map);
    ask($probe, '');
    is(stop_worker($probe), 'exit 0', 'end of the connection: a clean exit');
    return;
}

# VICTIM gets the launcher's pid and the worker's, and returns the one to be killed.
sub dies_with ($what, $jdk, $victim, @map) {
    my $signal = $what eq 'launcher, by SIGTERM' ? 'TERM' : 'KILL';
    my $probe = probe_of($jdk, @map);
    ask($probe, '');
    my $launcher = $probe->{wrapper} ? child_of($probe->{pid}) : $probe->{pid};
    my $worker = child_of($launcher);
    my $start = time();
    kill $signal => $victim->($probe->{pid}, $worker);
    is(ask($probe, ''), undef, "$what killed: the connection ends");
    my $elapsed = time() - $start;
    cmp_ok($elapsed, '<', at_most(1), 'at once');
    stop_worker($probe);
    ok(
        wait_until(sub { !process_status($launcher) && !process_status($worker) }),
        'no process is left'
    );
    note(sprintf('%s killed: end of the connection after %.1f ms', $what, 1000 * $elapsed));
    return;
}

# A parent between the test and the launcher, that can be killed.
sub with_a_parent (@command) {
    my $pid = fork() // POSIX::_exit(97);
    exec { $command[0] } @command if !$pid;
    waitpid($pid, 0);
    POSIX::_exit(96);
}

sub fails_with_one_line ($what, $expected, $jdk, %worker) {
    my $own_log = next_path('log');
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>', $own_log) or POSIX::_exit(99);
        my %all =
            (jdk => $jdk, socket => directory() . '/none', class => 'pve/oci/worker/None', %worker);
        exec(
            home() . '/native/pve-oci-worker',
            $worker{options} ? $worker{options}->@* : worker_options(%all)
        );
    }
    waitpid($pid, 0);
    is(status_of($?), 'exit 1', "$what: exit 1");
    open(my $file, '<', $own_log) or die "open $own_log: $!\n";
    my @lines = <$file>;
    is(scalar(@lines), 1, "$what: one line");
    like($lines[0] // '', qr/^<3>pve-oci-worker: $expected$/, "$what: it says so");
    return;
}

sub sleeper ($uid) {
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    POSIX::setuid($uid);
    sleep 300;
    POSIX::_exit(0);
}

for my $jdk (jdks()) {
    for my $map (undef, MAP) {
        my @map = (id_map => $map);
        subtest "$jdk, " . (defined($map) ? "map $map" : 'privileged') => sub {
            subtest 'exit status' => sub { reports_its_end($jdk, @map) };
            subtest 'death' => sub {
                dies_with('launcher', $jdk, sub ($launcher, $worker) { $launcher }, @map);
                dies_with(
                    'launcher, by SIGTERM', $jdk, sub ($launcher, $worker) { $launcher },
                    @map
                );
                dies_with('worker', $jdk, sub ($launcher, $worker) { $worker }, @map);
                dies_with(
                    'parent', $jdk, sub ($parent, $worker) { $parent }, @map,
                    wrapper => \&with_a_parent
                );
            };
        };
    }
}

subtest 'an abstract socket, two ranges, few files, a file in the tree' => sub {
    my ($jdk) = jdks();
    my $file = directory() . '/single';
    open(my $handle, '>', $file) or die "open $file: $!\n";
    close($handle);
    my $map = '0 100000 1000,1000 300000 10';
    my $probe = ready_probe(
        $jdk, id_map => $map, socket => "\@pve-oci-test-$$", nofile => 64,
        bind => [directory(), directory() . '/classes', $file]
    );
    my $pid = child_of($probe->{pid});
    my @lines = split(/\n/, `cat /proc/$pid/uid_map`);
    like(call($probe, 'openat', AT_FDCWD, $file, 0), qr/^= \d+$/, 'the file is there');
    is(scalar(@lines), 2, 'both ranges are mapped');
    like(`cat /proc/$pid/limits`, qr/^Max open files\s+64\s+64\s/m, 'open files are limited');
    like(`cat /proc/$pid/limits`, qr/^Max core file size\s+0\s+0\s/m, 'no core files');
    is(stop_worker($probe), 'exit 0', 'it ends');
};

subtest 'memory, threads, who goes first' => sub {
    # their shadow memory counts
    plan(skip_all => 'sanitizers') if $ENV{PVE_OCI_TEST_SANITIZERS};
    my ($jdk) = jdks();
    for my $map (undef, MAP) {
        my $probe = ready_probe($jdk, id_map => $map, data => 1 << 30);
        my $pid = child_of($probe->{pid});
        my $limits = `cat /proc/$pid/limits`;
        like($limits, qr/^Max data size\s+1073741824\s+1073741824\s/m, 'memory is limited');
        my @mapping = (3, 0x22, -1, 0); # readable and writable, private and anonymous
        like(call($probe, 'mmap', 0, 64 << 20, @mapping), qr/^= \d+$/, '64 MiB are granted');
        is(call($probe, 'mmap', 0, 2 << 30, @mapping), 'ENOMEM', '2 GiB are not');
        is(`cat /proc/$_/oom_score_adj`, "1000\n", 'it goes before others')
            for $pid, $probe->{pid};
        if (defined($map)) {
            # other processes of the same user on the host do not count
            my @others = map { sleeper(100000) } 1 .. 140;
            my $count = ask($probe, 'threads');
            cmp_ok($count, '>', 60, 'threads start');
            cmp_ok($count, '<', 128, 'up to a limit');
            note("$count threads beside the virtual machine's own");
            kill KILL => @others;
            waitpid($_, 0) for @others;
        }
        stop_worker($probe);
    }
};

subtest 'no way to switch the filter off' => sub {
    my ($jdk) = jdks();
    local $ENV{PVE_OCI_SECCOMP} = 'log';
    my $probe = ready_probe($jdk, id_map => MAP);
    is(call($probe, 'socket', 1, 1, 0), 'EPERM', 'a system call that is not listed is refused');
    is(stop_worker($probe), 'exit 0', 'it ends');
};

# The daemon starts its first launcher before it listens.
subtest 'a daemon that does not listen yet' => sub {
    my ($jdk) = jdks();
    my $path = next_path('socket');
    my sub launch() {
        my $log = next_path('log');
        my $pid = fork() // die "fork: $!\n";
        return ($pid, $log) if $pid;
        open(STDERR, '>', $log) or POSIX::_exit(99);
        my %worker = (jdk => $jdk, socket => $path, class => 'pve/oci/worker/None');
        exec(home() . '/native/pve-oci-worker', worker_options(%worker));
    }
    my sub socket_of ($uid) {
        socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
        bind($listener, sockaddr_un($path)) or die "bind: $!\n";
        local $> = $uid; # the kernel remembers who called listen(2)
        listen($listener, 20) or die "listen: $!\n";
        return $listener;
    }
    my $left = socket_of(0);
    close($left);        # as a daemon that was killed leaves its socket
    my ($pid) = launch();
    sleep(0.2);
    is(waitpid($pid, WNOHANG), 0, 'it waits where nobody listens any more');
    unlink($path);
    sleep(0.2);
    is(waitpid($pid, WNOHANG), 0, 'it waits where there is no socket');
    my $listener = socket_of(0);
    ok(IO::Select->new($listener)->can_read(10), 'it connects when the daemon listens');
    accept(my $connection, $listener) or die "accept: $!\n";
    is(unpack('l', getsockopt($connection, SOL_SOCKET, SO_PEERCRED)), $pid, 'itself');
    kill KILL => $pid;
    waitpid($pid, 0);
    close($listener);

    unlink($path);
    $listener = socket_of(1000);
    ($pid, my $log) = launch();
    waitpid($pid, 0);
    is(status_of($?), 'exit 1', 'it leaves when another user listens');
    like(`cat $log`, qr/: connect \Q$path\E: user 1000 listens there$/, 'it says so');
    close($listener);

    unlink($path);
    my $parent = fork() // die "fork: $!\n";
    if (!$parent) {
        ($pid) = launch();
        sleep 300;
        POSIX::_exit(0);
    }
    ok(wait_until(sub { child_of($parent) }), 'a parent starts it');
    my $launcher = child_of($parent);
    sleep(0.1);
    kill KILL => $parent;
    waitpid($parent, 0);
    ok(wait_until(sub { !process_status($launcher) }), 'it ends with its parent');
};

subtest 'failures' => sub {
    my ($jdk) = jdks();
    my $socket = next_path('socket');
    socket(my $listener, AF_UNIX, SOCK_STREAM, 0)
        or die "socket: $!\n";
    bind($listener, sockaddr_un($socket)) or die "bind: $!\n";
    listen($listener, 20) or die "listen: $!\n";
    my @listening = (socket => $socket);
    fails_with_one_line(
        'no socket', "connect " . directory() . "/none: No such file or directory",
        $jdk
    );
    fails_with_one_line(
        'no JDK',
        'resolve /none/lib/server/libjvm.so: No such file or directory', '/none', @listening
    );
    fails_with_one_line(
        'no bind', 'clone mount of /none: No such file or directory', $jdk,
        @listening, bind => ['/none']
    );
    fails_with_one_line(
        'relative bind', 'bind none: not an absolute path below /', $jdk,
        @listening, bind => ['none']
    );
    fails_with_one_line(
        'bad map', 'write uid_map 0 1 x: Invalid argument', $jdk, @listening,
        id_map => '0 1 x'
    );
    fails_with_one_line('unknown option', 'read options: .*', $jdk, options => ['--unknown']);
    fails_with_one_line(
        'few options', 'read options: --socket, .* are required', $jdk,
        options => []
    );
    fails_with_one_line(
        'many options', 'count Java options: too many', $jdk, @listening,
        jvm_options => [('-Xrs') x 200]
    );
};

done_testing();
