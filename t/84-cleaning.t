#!/usr/bin/perl
# What the real daemon does while it removes what a failed job has made: the client hears that this
# goes on, and whoever does not want to wait for it can end it. The worker that cleans is held up
# before it starts, or stopped in the middle.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(at_most home patience process_status wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $HOLD = "$DIRECTORY/hold";
my $FILES = 30_000;

# Starts workers, but none as long as there is the file $HOLD.
my $LAUNCHER = "$DIRECTORY/launcher";
open(my $launcher, '>', $LAUNCHER) or die "open: $!\n";
print {$launcher} "#!/bin/sh\nwhile [ -e $HOLD ]; do sleep 0.05; done\n",
    'exec ', home(), "/native/pve-oci-worker \"\$@\"\n";
close($launcher) or die "close: $!\n";
chmod(0755, $LAUNCHER) or die "chmod: $!\n";

# Read slowly because of the limit on the bandwidth, so that the job does not end by itself, also
# where making the files takes so long that much of this is read ahead.
open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
read($random, my $noise, 24 << 20) or die "urandom: $!\n";
my $ARCHIVE = write_image(
    "$DIRECTORY/image.tar", { Cmd => ['x'] },
    join('', map { entry('0', "file$_") } 1 .. $FILES), entry('0', 'large', content => $noise),
);
my @MAP = map { { inside => 0, outside => 100_000, count => 65_536 } } 1;

my $daemon = RealDaemon->start('--launcher', $LAUNCHER, '--spares', 0);
my $serial = 0;

sub new_root () {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir($path) or die "mkdir: $!\n";
    return $path;
}

sub entries_of ($path) {
    opendir(my $directory, $path) or die "opendir: $!\n";
    return grep { !/\A\./ } readdir($directory);
}

sub jobs () { return PVE::OCI::list_jobs({ socket => $daemon->{socket} })->@* }

sub cancel () {
    PVE::OCI::cancel_job($_->{id}, { socket => $daemon->{socket} }) for jobs();
    return;
}

sub hold () {
    open(my $file, '>', $HOLD) or die "open: $!\n";
    return;
}

sub release () { return unlink($HOLD) }

# An extraction on a connection of its own, when all files are there and 'large' is being written.
sub extraction ($root) {
    my $socket = IO::Socket::UNIX->new(Peer => $daemon->{socket}) or die "connect: $!\n";
    my $call = {
        method => 'io.pve.oci.ParseAndExtractImage',
        more => JSON::true,
        parameters => {
            archivePath => $ARCHIVE,
            rootDirectory => $root,
            uidMap => \@MAP,
            gidMap => \@MAP,
            options => { bandwidthLimit => 500_000 },
        },
    };
    syswrite($socket, encode_json($call) . "\0");
    # a busy disk may take long to make so many files
    wait_until(sub { -e "$root/large" }, 3 * patience())
        or die "no extraction: " . $daemon->log_text();
    return $socket;
}

# Frames until the last of the call, each with the seconds since now.
sub frames ($socket) {
    my $start = time();
    my $buffer = '';
    my @frames = ([0, { continues => JSON::true }]);
    my $patience = IO::Select->new($socket);
    while ($frames[-1]->[1]->{continues} && $patience->can_read(20)) {
        sysread($socket, $buffer, 65_536, length($buffer)) or last;
        push @frames, [time() - $start, decode_json($1)] while $buffer =~ s/\A([^\0]*)\0//;
    }
    return @frames;
}

# Processes 1 of their pid namespaces: workers.
sub workers () {
    return grep { ((process_status($_) // {})->{NSpid} // '') =~ /\t1\z/ } $daemon->descendants();
}

# A signal stops one thread after the other.
sub running_threads (@processes) {
    return grep { (process_status($_) // { State => 'T' })->{State} !~ /\AT/ }
        map { s{\A/proc/}{}r } map { glob("/proc/$_/task/*") } @processes;
}

subtest 'signs of life' => sub {
    my $root = new_root();
    my $socket = extraction($root);
    hold();
    my $releaser = in_child(sub { sleep(6); release(); 1 });
    $socket->shutdown(1);
    my @frames = frames($socket);
    result_of($releaser);
    my @signs = grep { $_->[0] > 1 && $_->[0] < 6 && $_->[1]->{continues} } @frames;
    cmp_ok(scalar(@signs), '>=', 2, 'every few seconds');
    is($frames[-1]->[1]->{error}, 'io.pve.oci.Cancelled', 'then the error');
    cmp_ok($frames[-1]->[0], '>', 5, 'when it was cleaned');
    is_deeply([entries_of($root)], [], 'it is clean');
};

subtest 'cancelled again while the worker that cleans is being started' => sub {
    my $root = new_root();
    my $socket = extraction($root);
    hold();
    cancel();
    sleep(1);
    is(scalar(jobs()), 1, 'the job is there as long as it is being cleaned up');
    cancel();
    my @frames = frames($socket);
    is($frames[-1]->[1]->{error}, 'io.pve.oci.Cancelled', 'the client has its error');
    cmp_ok($frames[-1]->[0], '<', at_most(3), 'at once');
    like(
        $daemon->log_text(),
        qr/root directory not cleaned job=\d+ .*the job was cancelled once more/, 'logged'
    );
    is((stat($root))[4], 0, 'the root directory was given back');
    release();
    ok(wait_until(sub { !$daemon->descendants() }), 'no process is left');
};

subtest 'a worker that is killed while it cleans' => sub {
    my $root = new_root();
    my $socket = extraction($root);
    cancel();
    my @cleaner;
    wait_until(sub { entries_of($root) < $FILES && (@cleaner = workers()) });
    kill KILL => @cleaner;
    plan(skip_all => 'it was too fast') if !entries_of($root);
    my @frames = frames($socket);
    is($frames[-1]->[1]->{error}, 'io.pve.oci.Cancelled', 'the client has its error');
    is_deeply([entries_of($root)], [], 'another one has removed the rest');
    like($daemon->log_text(), qr/worker that cleans has died .* SIGKILL/, 'logged');
};

subtest 'cancelled again while the worker cleans' => sub {
    my $root = new_root();
    my $socket = extraction($root);
    cancel();
    my @cleaner;
    wait_until(sub { entries_of($root) < $FILES && (@cleaner = workers()) });
    kill STOP => @cleaner;
    wait_until(sub { !running_threads(@cleaner) }) or die "not stopped\n";
    my $left = entries_of($root);
    plan(skip_all => 'it was too fast') if !$left;
    cancel();
    my @frames = frames($socket);
    is($frames[-1]->[1]->{error}, 'io.pve.oci.Cancelled', 'the client has its error');
    cmp_ok($frames[-1]->[0], '<', at_most(3), 'at once');
    cmp_ok(scalar(entries_of($root)), '>', $left - 100, 'what was not removed is there');
    ok(wait_until(sub { !$daemon->descendants() }), 'no process is left');
    is(scalar(jobs()), 0, 'no job');
};

# As the command is ended by hand: ^C, and once more when it takes too long.
subtest 'a second signal' => sub {
    my $root = new_root();
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        $SIG{INT} = 'DEFAULT';
        open(STDOUT, '>', "$DIRECTORY/said") or die "open: $!\n";
        open(STDERR, '>&', \*STDOUT) or die "dup: $!\n";
        exec(
            "$FindBin::Bin/../bin/pve-oci", 'extract', '--socket', $daemon->{socket},
            '--bwlimit', 500, $ARCHIVE, $root
        ) or die "exec: $!\n";
    }
    ok(wait_until(sub { -e "$root/large" }), 'in the middle');
    hold();
    kill INT => $pid;
    sleep(3);
    is(waitpid($pid, POSIX::WNOHANG()), 0, 'it waits for the cleaning');
    my $start = time();
    kill INT => $pid;
    waitpid($pid, 0);
    cmp_ok(time() - $start, '<', at_most(2), 'the second signal ends it');
    my $said = qx(cat $DIRECTORY/said);
    like($said, qr/was not waited for: it may still be removing files/, 'it says so');
    like($said, qr/\Q$root\E still holds files of the image, such as file/, 'and what is left');
    ok(wait_until(sub { !jobs() }), 'the daemon does not clean for nobody');
    release();
    ok(wait_until(sub { !$daemon->descendants() }), 'no process is left');
};

# It waits for five seconds, and then for the command to clean up in its place.
subtest 'the daemon is stopped while it cleans' => sub {
    my $root = new_root();
    my $options = "--socket $daemon->{socket} --bwlimit 500";
    my $child =
        in_child(
            sub { scalar(qx($FindBin::Bin/../bin/pve-oci extract $options $ARCHIVE $root 2>&1)) });
    ok(wait_until(sub { -e "$root/large" }), 'in the middle');
    hold();
    my $start = time();
    is($daemon->stop(), 0, 'the daemon ends well');
    cmp_ok(time() - $start, '<', at_most(15), 'within TimeoutStopSec of its unit');
    like(
        result_of($child)->{value}, qr/the embedded engine has removed what pve-ocid had left/,
        'the command says who has cleaned up'
    );
    is_deeply([entries_of($root)], [], 'it is clean');
    is((stat($root))[4], 0, 'the root directory was given back');
    release();
    $daemon->run();
};

# Where nothing moves, although the worker's threads live: one is stopped that has work to do.
subtest 'a worker that lives and gets nothing done' => sub {
    my ($SEIZE, $INTERRUPT) = (0x4206, 0x4207);
    my $number = (POSIX::uname())[4] eq 'x86_64' ? 101 : 117; # ptrace(2)
    my $quick = RealDaemon->start('--hang', 10);
    my $root = new_root();
    my $options = { socket => $quick->{socket}, bwlimit => 500 };
    my $child = in_child(sub { PVE::OCI::extract_image($ARCHIVE, $root, $options); 1 });
    wait_until(sub { -e "$root/large" }) or die "no extraction\n";
    # all workers: spares do nothing anyway; the thread that reports is the one that goes on
    my @threads;
    for my $worker (grep { ((process_status($_) // {})->{NSpid} // '') =~ /\t1\z/ }
        $quick->descendants()) {
        for my $task (glob("/proc/$worker/task/*")) {
            my $name = qx(cat $task/comm);
            push @threads, $task =~ s{.*/}{}r if $name !~ /\Aprogress-report/;
        }
    }
    my @seized = grep { syscall($number, $SEIZE, $_ + 0, 0, 0) == 0 } @threads;
    plan(skip_all => 'ptrace(2) is not allowed') if !@seized;
    syscall($number, $INTERRUPT, $_ + 0, 0, 0) for @seized;
    my $start = time();
    my $result = result_of($child);
    like($result->{error}, qr/gave no sign of life for 10 s/, 'it is ended');
    cmp_ok(time() - $start, '<', at_most(30), 'when the limit is over');
    is_deeply([entries_of($root)], [], 'what it made is removed');
};

done_testing();
