#!/usr/bin/perl
# What systemd does with the daemon, without systemd: its units are sound, it takes the socket it is
# passed, says that it is ready and alive, reads its configuration again at SIGHUP, and ends well.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Fcntl qw(F_SETFD);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(AF_UNIX SOCK_DGRAM sockaddr_un);
use Test::More;
use Time::HiRes qw(time);

use PVE::OCI;
use TestSupport qw(home patience root wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
plan(skip_all => 'needs systemd') if `sh -c 'command -v systemd-socket-activate'` eq '';

my $DIRECTORY = tempdir(CLEANUP => 1);

sub write_file ($path, $text) {
    open(my $file, '>', $path) or die "open $path: $!\n";
    print {$file} $text;
    close($file) or die "close $path: $!\n";
    return $path;
}

sub read_file ($path) {
    open(my $file, '<', $path) or return '';
    local $/ = undef;
    return <$file> // '';
}

subtest 'units' => sub {
    my @units;
    for my $name (qw(pve-ocid.socket pve-ocid.service)) {
        # the program as the tree has it
        my $text = read_file(root() . "/debian/pve-oci.$name");
        my $program = root() . '/bin/pve-ocid';
        push @units, write_file("$DIRECTORY/$name", $text =~ s{/usr/sbin/pve-ocid}{$program}gr);
    }
    my $said = `systemd-analyze verify --man=no @units 2>&1`;
    is($?, 0, 'systemd-analyze verify') or diag($said);
    is($said =~ s/^.*(?:\/lib\/systemd\/system\/).*\n//mgr, '', 'has nothing to say');
    my ($score) =
        `systemd-analyze security --offline=true $units[1] 2>&1` =~ /level for \S+: ([\d.]+)/;
    plan(skip_all => 'systemd-analyze security wants a running system') if !defined($score);
    cmp_ok($score, '<=', 6.2, "exposure $score");
};

subtest 'a daemon as systemd runs it' => sub {
    my $notified = "$DIRECTORY/notify";
    socket(my $notify, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!\n";
    bind($notify, sockaddr_un($notified)) or die "bind: $!\n";
    my $config = write_file("$DIRECTORY/pve-ocid.conf", "jobs = 2\n");
    my $socket = "$DIRECTORY/socket";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>', "$DIRECTORY/log") or POSIX::_exit(99);
        # ignored below nohup(1), and a JVM leaves it at that
        local $SIG{HUP} = 'DEFAULT';
        exec(
            'systemd-socket-activate', "--listen=$socket", '-E', "NOTIFY_SOCKET=$notified",
            '-E',
            'WATCHDOG_USEC=1000000', root() . '/bin/pve-ocid', '--config', $config,
            '--worker-socket', "$DIRECTORY/worker"
        ) or POSIX::_exit(98);
    }
    ok(wait_until(sub { -S $socket }), 'somebody listens');
    # between bind(2) and listen(2) it refuses
    my $info;
    wait_until(sub {
        $info = eval { PVE::OCI::get_info({ socket => $socket }) }
    });
    is($info->{product}, 'pve-ocid', 'the first call is answered');

    my sub next_state () {
        return '' if !IO::Select->new($notify)->can_read(patience());
        recv($notify, my $state, 1024, 0);
        return $state;
    }
    is(next_state(), 'READY=1', 'ready');
    my $idle = '';
    $idle = next_state() while IO::Select->new($notify)->can_read(2);
    is($idle, 'WATCHDOG_USEC=0', 'without clients it is not woken to say that it is alive');
    my $client = IO::Socket::UNIX->new(Peer => $socket) or die "connect: $!\n";
    is(next_state(), "WATCHDOG=1\nWATCHDOG_USEC=1000000", 'with a client it is watched');
    is(next_state(), 'WATCHDOG=1', 'alive') for 1 .. 3;
    close($client);
    $idle = next_state();
    $idle = next_state() while $idle eq 'WATCHDOG=1';
    is($idle, 'WATCHDOG_USEC=0', 'no longer when the client is gone');

    write_file($config, "jobs = 3\nhang = never\n");
    kill HUP => $pid;
    my $line = qr/^<3>not reloaded.*pve-ocid\.conf:2: hang is a number/m;
    ok(wait_until(sub { read_file("$DIRECTORY/log") =~ $line }), 'a wrong line is named');
    write_file($config, "jobs = 3\n");
    kill HUP => $pid;
    ok(wait_until(sub { read_file("$DIRECTORY/log") =~ /^<6>reloaded jobs=3$/m }), 'reloaded');

    kill TERM => $pid;
    waitpid($pid, 0);
    is($?, 0, 'it ends well');
    my $state = '';
    $state = next_state() while $state ne 'STOPPING=1' && IO::Select->new($notify)->can_read(1);
    is($state, 'STOPPING=1', 'and says so');
    ok(-S $socket, 'the socket is not its own to remove');
    unlike(
        read_file("$DIRECTORY/log"), qr/^(?!<\d>|Listening|Communication|Execing)/m,
        'every line has a priority'
    );

    write_file($config, "job = 3\n");
    my $program = root() . "/bin/pve-ocid";
    my $said = `$program --config $config --socket $DIRECTORY/other 2>&1`;
    is($? >> 8, 78, 'a wrong configuration does not start');
    like($said, qr/pve-ocid\.conf:1: unknown key: job$/m, 'and says why');
    $said = `$program --config $config --check-config 2>&1`;
    is($? >> 8, 78, '--check-config fails, as ExecReload= wants it');
    like($said, qr/\Apve-ocid: \S+pve-ocid\.conf:1: unknown key: job\n\z/, 'and says why');
    # as a shell has it, without the priorities of journald
    $said = `script -qec '$program --config $config --socket $DIRECTORY/other' /dev/null`;
    like(
        $said, qr/\Apve-ocid: cannot serve: \S+:1: unknown key: job\r\n\z/,
        'also on a terminal'
    );
    write_file($config, "jobs = 3\n");
    is(`$program --config $config --check-config 2>&1`, '', 'a right one has nothing to say');
    is($? >> 8, 0, 'and passes');
    $said = `$program --config $DIRECTORY --check-config 2>&1`;
    like($said, qr/\Apve-ocid: \Q$DIRECTORY\E cannot be read: /, 'the file is named');
    for my $option (qw(--help --version --print-config)) {
        $said = `$program $option 2>&1 >/dev/full`;
        is(
            "$?: $said", "256: pve-ocid: cannot write to standard output\n",
            "$option: disk full"
        );
    }
    my @wide = grep { length($_) > 80 } map { split(/\n/) } qx($program --print-config),
        qx($program --help);
    is_deeply(\@wide, [], 'what is printed has 80 columns');
    $said = `$program --socket $DIRECTORY/no/such/socket 2>&1`;
    like($said, qr/cannot listen on \S+: there is no directory \S+\/no$/m, 'as is a directory');
};

# As systemd does it: the socket stays here, the daemon has it as descriptor 3.
sub start_by_socket ($listener, @options) {
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    open(STDERR, '>>', "$DIRECTORY/idle.log") or POSIX::_exit(99);
    POSIX::dup2(fileno($listener), 3) // POSIX::_exit(99);
    fcntl(STDIN, F_SETFD, 0) if fileno($listener) == 3;
    local @ENV{qw(LISTEN_FDS LISTEN_PID)} = (1, $$);
    exec(
        root() . '/bin/pve-ocid', '--config', '/dev/null', '--worker-socket',
        "$DIRECTORY/idle.worker", @options
    ) or POSIX::_exit(98);
}

subtest 'nothing when idle' => sub {
    my $path = "$DIRECTORY/idle";
    local $^F = 20; # the descriptor is inherited
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "listen: $!\n";
    my $call = { socket => $path };
    my $pid = start_by_socket($listener, '--idle-exit', 3, '--spare-idle', 1);
    is(PVE::OCI::get_info($call)->{product}, 'pve-ocid', 'a call is answered');
    my $staying = IO::Socket::UNIX->new(Peer => $path) or die "connect: $!\n";
    sleep(1);
    close($staying) or die "close: $!\n";
    my $left = time();
    my $ended = wait_until(sub { waitpid($pid, POSIX::WNOHANG) == $pid });
    ok($ended, 'the daemon ends when nobody has asked for anything');
    is($?, 0, 'well');
    my $idle = time() - $left;
    ok($idle > 2.9 && $idle < 4.5, 'when it is told to') or diag("after $idle s");
    like(
        read_file("$DIRECTORY/idle.log"), qr/nobody has asked for anything seconds=3/,
        'and says so'
    );

    my $client = IO::Socket::UNIX->new(Peer => $path);
    ok($client, 'who connects meanwhile waits in the queue of the socket');
    $pid = start_by_socket($listener, '--idle-exit', 0);
    print {$client} '{"method":"org.varlink.service.GetInfo"}', "\0";
    ok(IO::Select->new($client)->can_read(patience()), 'and is answered by the next daemon');
    sleep(4);
    is(waitpid($pid, POSIX::WNOHANG), 0, 'with 0 it stays');
    kill TERM => $pid;
    waitpid($pid, 0);
};

done_testing();
