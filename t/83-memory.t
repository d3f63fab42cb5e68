#!/usr/bin/perl
# The daemon's memory has one budget, whatever its workers say: the largest messages, several at
# once, neither end it nor make it grow beyond 100 MB. If memory runs out all the same, the whole
# process ends, not a single thread.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use POSIX ();
use Test::More;

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(home process_status wait_until);

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
    my $daemon = RealDaemon->start();
    my @results = inspect($daemon, $LARGE);
    is($_->{error}, undef, 'inspected') for @results;
    cmp_ok($results[0]->{value} // 0, '>', 4_000_000, 'all of it');
    cmp_ok(memory($daemon), '<', $MAXIMUM, 'memory of the daemon');
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
    cmp_ok(memory($daemon), '<', $MAXIMUM, 'memory of the daemon');
    is($daemon->stop(), 0, 'the daemon ends well');
};

# What the JVM has for a connection stays for a while after its end, so their rate is bounded.
subtest 'a user who connects all the time' => sub {
    my $daemon = RealDaemon->start();
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
