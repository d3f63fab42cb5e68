#!/usr/bin/perl
# The daemon's memory has one budget, whatever its workers say: the largest messages, several at
# once, neither end it nor make it grow beyond 100 MB. If memory runs out all the same, the whole
# process ends, not a single thread.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(at_most home process_status wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $MAXIMUM = 100_000; # KiB
my $DIRECTORY = tempdir(CLEANUP => 1);
my $SMALL = write_image("$DIRECTORY/small.tar", { Cmd => ['x'] }, entry('0', 'a', content => 'a'));
my @TAKEN_OVER = ('--launcher', "$FindBin::Bin/lib/taken-over-worker.py", '--spares', '0');

# The largest configuration that the limits allow, which takes most when it is escaped.
my $label = '\x{4e2d}' . ('"' x 2_090_000);
my $LARGE = write_image(
    "$DIRECTORY/large.tar",
    { Cmd => ['x'], Labels => { a => $label } },
    entry('0', 'a', content => 'a'),
);

sub say_from_now_on ($saying) {
    open(my $file, '>', "$DIRECTORY/saying") or die "open: $!\n";
    print {$file} $saying;
    close($file) or die "close: $!\n";
    return;
}

# Four calls at once; what became of each.
sub inspect ($daemon, $archive) {
    my @calls = map {
        in_child(sub {
            length(
                PVE::OCI::inspect_image($archive, { socket => $daemon->{socket} })->{rawConfig}
            );
        })
    } 1 .. 4;
    return map { result_of($_) } @calls;
}

sub memory ($daemon) {
    return process_status($daemon->{pid})->{VmHWM} =~ s/\D//gr;
}

subtest 'a configuration of the largest size' => sub {
    my $daemon = RealDaemon->start('--spares', 0);
    my @results = inspect($daemon, $LARGE);
    is($_->{error}, undef, 'inspected') for @results;
    cmp_ok($results[0]->{value} // 0, '>', 4_000_000, 'all of it');
    cmp_ok(memory($daemon), '<', $MAXIMUM, 'memory of the daemon');
    is($daemon->stop(), 0, 'the daemon ends well');
};

# Large messages are received one at a time. None of them is waited for long, whoever holds it.
subtest 'others while somebody has a large message' => sub {
    my $slow = write_image(
        "$DIRECTORY/slow.tar",
        { Cmd => ['x'], Labels => { a => 'a' x 1_000_000 } },
        entry('0', 'a', content => join('', map { pack('N', rand(2**32)) } 1 .. 1_000_000)),
    );
    local $ENV{PVE_OCI_TEST_SAYS} = "$DIRECTORY/saying";
    local $ENV{PVE_OCI_TEST_LAUNCHER} = home() . '/native/pve-oci-worker';
    say_from_now_on('nothing');
    my $daemon = RealDaemon->start(
        '--hang', 12, '--spares', 0, '--launcher', "$FindBin::Bin/lib/sometimes-taken-over.sh",
    );
    my $options = { socket => $daemon->{socket} };
    my $inspects = sub ($maximum, $while) {
        my $start = time();
        my $config = eval { PVE::OCI::inspect_image($LARGE, $options)->{rawConfig} } // $@;
        cmp_ok(length($config), '>', 4_000_000, "$while: another large one") or diag($config);
        cmp_ok(time() - $start, '<', at_most($maximum), "$while: soon");
    };
    my $call = sub ($method, %parameters) {
        my %call = (method => "io.pve.oci.$method", parameters => \%parameters, more => \1);
        my $socket = IO::Socket::UNIX->new(Peer => $daemon->{socket}) or die "connect: $!\n";
        syswrite($socket, encode_json(\%call) . "\0");
        return $socket;
    };
    my $extraction = sub ($root) {
        mkdir($root) or die "mkdir: $!\n";
        my $socket = $call->(
            'ParseAndExtractImage', archivePath => $slow, rootDirectory => $root,
            options => { bandwidthLimit => 100 << 10 },
        );
        my $job = $daemon->wait_for_job(sub ($job) {
            $job->{progress}->{phase} eq 'extracting';
        });
        ok($job, 'an extraction has begun');
        return $socket;
    };
    my $reading = $extraction->("$DIRECTORY/root");
    my $received = 0;
    while ($received < 1_000_000) {
        $received += sysread($reading, my $bytes, 1 << 20) || die "read: $!\n";
    }
    $inspects->(5, 'an extraction whose configuration was read');
    close($reading);
    wait_until(sub { !PVE::OCI::list_jobs($options)->@* });

    say_from_now_on('unfinished');
    my $job = $call->('InspectImage', archivePath => $SMALL);
    ok(wait_until(sub { -e "$DIRECTORY/saying.read" }), 'a worker has sent a part of one');
    say_from_now_on('nothing');
    $inspects->(14, 'a worker that has sent a part of one');
    sysread($job, my $reply, 1000);
    like($reply, qr/frame was not finished within 10 s/, 'which is ended');

    my $silent = $extraction->("$DIRECTORY/root2");
    $inspects->(35, 'a client that does not read it');
    ok(wait_until(sub { !PVE::OCI::list_jobs($options)->@* }), 'whose job is ended');
    is($daemon->stop(), 0, 'the daemon ends well');
};

# Proportional set size in KiB: what processes share counts by its part.
sub shared_memory (@pids) {
    my $sum = 0;
    for my $pid (@pids) {
        open(my $file, '<', "/proc/$pid/smaps_rollup") or return 'inf';
        local $/ = undef;
        my ($size) = readline($file) =~ /^Pss:\s+(\d+)/m;
        $sum += $size // return 'inf';
    }
    return $sum;
}

subtest 'waiting' => sub {
    my $daemon = RealDaemon->start();
    my $root = "$DIRECTORY/waiting";
    mkdir($root) or die "mkdir: $!\n";
    PVE::OCI::extract_image($SMALL, $root, { socket => $daemon->{socket} });
    my $all;
    wait_until(sub {
        my @workers = $daemon->descendants();
        return @workers == 2 && ($all = shared_memory($daemon->{pid}, @workers)) <= 60_000;
    });
    cmp_ok($all, '<=', 60_000, 'memory of the daemon, a launcher and its worker');
    # all pages come back when they are needed
    my @results = inspect($daemon, $SMALL);
    is($_->{error}, undef, 'inspected') for @results;
    is($daemon->stop(), 0, 'the daemon ends well');
};

subtest 'workers that were taken over' => sub {
    local $ENV{PVE_OCI_TEST_SAYS} = "$DIRECTORY/saying";
    say_from_now_on('error');
    my $daemon = RealDaemon->start(@TAKEN_OVER);
    for my $saying (qw(error log objects names)) {
        say_from_now_on($saying);
        like($_->{error}, qr/worker sent no valid reply/, "$saying: refused")
            for inspect($daemon, $SMALL);
    }
    say_from_now_on('configuration');
    is($_->{error}, undef, 'a configuration may be large') for inspect($daemon, $SMALL);
    say_from_now_on('stderr');
    is($_->{error}, 'no more of it', 'standard error is not read on')
        for inspect($daemon, $SMALL);
    like($daemon->log_text(), qr/worker writes too much, the rest is dropped/, 'which is said');
    cmp_ok(memory($daemon), '<', $MAXIMUM, 'memory of the daemon');
    is($daemon->stop(), 0, 'the daemon ends well');
};

# What the JVM has for a connection stays for a while after its end, so their rate is bounded.
subtest 'a user who connects all the time' => sub {
    my $daemon = RealDaemon->start('--spares', 0);
    chmod(0666, $daemon->{socket}) or die "chmod: $!\n";
    my $connect = sub ($times) {
        result_of(in_child(sub {
            POSIX::setuid(65534);
            for (1 .. $times) {
                IO::Socket::UNIX->new(Peer => $daemon->{socket}) or die "connect: $!\n";
            }
            return 'done';
        }))->{value};
    };
    $connect->(2_000);
    my $before = memory($daemon);
    is($connect->(25_000), 'done', '25000 connections');
    cmp_ok(
        memory($daemon) - $before, '<', 2_000,
        'memory of the daemon does not grow with them'
    );
    is($daemon->stop(), 0, 'the daemon ends well');
};

subtest 'no memory left' => sub {
    local $ENV{PVE_OCI_TEST_SAYS} = "$DIRECTORY/saying";
    say_from_now_on('configuration');
    local $ENV{PVE_OCID_JAVA_OPTIONS} = '-Xmx12m';
    my $daemon = RealDaemon->start(@TAKEN_OVER);
    my ($result) = inspect($daemon, $SMALL);
    is($result->{name}, 'ConnectionLost', 'the connection ends');
    my $has_ended = wait_until(sub { waitpid($daemon->{pid}, POSIX::WNOHANG()) > 0 });
    ok($has_ended, 'and so does the process') or return;
    is($? >> 8, 3, 'as of OutOfMemoryError');
    delete $daemon->{pid};
    like($daemon->log_text(), qr/OutOfMemoryError/, 'which says why');
};

done_testing();
