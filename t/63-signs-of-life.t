# A worker that talks without getting anything done is ended, as one that is silent: by the daemon,
# and by the caller of the embedded engine. Only a worker that says that it has worked lives on.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);

use FakeWorker qw(instead_of_engine launcher worker_program);
use PVE::OCI;
use PVE::OCI::JVM;
use PVE::OCI::Settings;
use RealDaemon qw(in_child result_of);
use TestSupport qw(home wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";

# Stands in for a worker that was taken over: twenty times a second it sends the event that the
# archive's name stands for, until it is ended, or for 15 seconds.
my $FAKE = worker_program(<<'END');
use Time::HiRes qw(sleep);
my $request = <$socket> // exit(0);
my $counters = '"bytesTotal":9,"entriesWritten":0,"bytesWritten":0';
my $progress = qq("progress":{"phase":"verifying","bytesRead":%d,$counters});
my %events = (
    log => '"log":{"level":"info","message":"a line"}',
    same => $progress =~ s/%d/1/r,
    more => $progress,
    stuck => qq($progress,"work":7),
    back => qq($progress,"work":-%d),
    work => qq($progress,"work":%d),
    large => qq("log":{"level":"info","message":").('x' x 20_000) . '"',
);
my ($event) = map { $events{$_} } grep { $request =~ m{/$_"} } keys %events;
local $SIG{PIPE} = 'DEFAULT';
for my $n (1 .. 300) {
    my $frame = qq({"continues":true,"parameters":{$event}}\0) =~ s/%d/$n/gr;
    # a frame that never ends comes in pieces
    $frame = $n == 1 ? substr($frame, 0, 100) : 'x' if $request =~ m{/large"};
    syswrite($socket, $frame) // last;
    sleep(0.05);
}
syswrite($socket, qq({"parameters":{"format":"unknown"}}\0));
sysread($socket, $request, 1) if defined($at);
END

my @ENDED = qw(log same more stuck back large);

# What comes of all these workers at the same time, and after how many seconds.
sub outcomes ($options) {
    my %children;
    for my $event (@ENDED, 'work') {
        open(my $file, '>', "$DIRECTORY/$event") or die "open: $!\n";
        $children{$event} = in_child(sub {
            local $SIG{__WARN__} = sub { };
            my $start = time();
            my $reply = eval { PVE::OCI::detect_archive("$DIRECTORY/$event", $options) };
            return [$reply ? $reply->{format} : "$@", time() - $start];
        });
    }
    for my $event (@ENDED) {
        my ($outcome, $seconds) = result_of($children{$event})->{value}->@*;
        my $expected =
            $event eq 'large' && $options->{mode} eq 'daemon'
            ? qr/not finished within 10 s|gave no sign of life for 10 s/
            : qr/worker gave no sign of life for 10 s/;
        like($outcome, $expected, "$event: ended");
        cmp_ok($seconds, '>=', 9, '... not before the limit is over');
    }
    is(result_of($children{work})->{value}->[0], 'unknown', 'one that works is not');
    return;
}

subtest 'by the daemon' => sub {
    my $fake = launcher($DIRECTORY, $FAKE);
    my $daemon =
        RealDaemon->start('--launcher', $fake, '--spares', 0, '--hang', 10, '--jobs', @ENDED + 1);
    outcomes({ socket => $daemon->{socket}, mode => 'daemon' });
    ok(wait_until(sub { !$daemon->descendants() }), 'no process is left');
};

subtest 'by the caller of the embedded engine' => sub {
    plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };
    no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
    local *PVE::OCI::JVM::start = instead_of_engine($FAKE);
    my $read = \&PVE::OCI::Settings::read_file;
    local *PVE::OCI::Settings::read_file = sub { return { $read->(@_)->%*, hang => 10 } };
    outcomes({ mode => 'embedded' });
};

done_testing();
