#!/usr/bin/perl
# What systemd does with the daemon, without systemd: its units are sound, it takes the socket it is
# passed, says that it is ready and alive, reads its configuration again at SIGHUP, and ends well.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use IO::Select;
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
        push @units, write_file("$DIRECTORY/$name", $text =~ s{/usr/sbin/pve-ocid}{$program}r);
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
    is(
        PVE::OCI::get_info({ socket => $socket })->{product}, 'pve-ocid',
        'the first call is answered'
    );

    my sub next_state () {
        return '' if !IO::Select->new($notify)->can_read(patience());
        recv($notify, my $state, 1024, 0);
        return $state;
    }
    is(next_state(), 'READY=1', 'ready');
    is(next_state(), 'WATCHDOG=1', 'alive');

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
    is($? >> 8, 1, 'a wrong configuration does not start');
    like($said, qr/pve-ocid\.conf:1: unknown key: job$/m, 'and says why');
};

done_testing();
