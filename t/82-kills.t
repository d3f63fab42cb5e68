#!/usr/bin/perl
# SIGKILL at random moments of an extraction, for the client, the worker and the daemon. If the
# daemon or the client still lives afterwards, the root directory is as it was. Nothing holds the
# file system below it, and the next job succeeds. PVE_OCI_TEST_KILLS: how many moments for each of
# the three (3).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep);

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(home process_status wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs setfacl(1)') if system('setfacl --version >/dev/null 2>&1') != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $COUNT = $ENV{PVE_OCI_TEST_KILLS} // 3;
my $LONGEST = 0.8; # seconds, about what the extraction takes
my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $MOUNT = "$DIRECTORY/rootfs";
mkdir($MOUNT) or die "mkdir: $!\n";

END {
    local $?;
    system("umount -l $MOUNT 2>/dev/null") if defined($MOUNT);
}

# So that the archive is as large as the files: reading it is what takes the time.
sub incompressible () {
    return join('', map { pack('N', rand(2**32)) } 1 .. 5_000);
}

my $ARCHIVE = write_image(
    "$DIRECTORY/image.tar",
    { Cmd => ['x'] },
    entry('5', './', mode => 0711),
    entry('5', 'volume/', mode => 01777),
    join('', map { entry('0', "dir$_/file", content => incompressible()) } 1 .. 300),
);
my $BANDWIDTH = 8_000; # KiB/s of what is read, so that it takes as long as that

my $daemon = RealDaemon->start();

sub mount_root () {
    system('mount', '-t', 'tmpfs', '-o', 'mode=0750', 'tmpfs', $MOUNT) == 0 or die "mount\n";
    # a directory of the container's, so that the image may change what it likes of it
    mkdir("$MOUNT/volume") or die "mkdir: $!\n";
    chown(100000, 100000, "$MOUNT/volume") or die "chown: $!\n";
    for my $directory ($MOUNT, "$MOUNT/volume") {
        system('setfacl', '-m', 'u:7:rwx,d:g:8:rx', $directory) == 0 or die "setfacl failed\n";
        utime(5_000, 5_000, $directory) or die "utime: $!\n";
    }
    return;
}

# What is there, and all that an image may change of what was there before.
sub state_of_root () {
    my @found = sort map { s{.*/}{}r } glob("$MOUNT/* $MOUNT/volume/*");
    my @lines = "@found";
    for my $directory ($MOUNT, "$MOUNT/volume") {
        my @status = stat($directory);
        push @lines, sprintf('%o %d:%d %d', @status[2, 4, 5, 9]);
        push @lines, qx(getfacl -p --omit-header $directory 2>&1);
    }
    return join("\n", @lines);
}

sub extract ($root) {
    my $options = { socket => $daemon->{socket}, bwlimit => $BANDWIDTH, on_abort => sub { } };
    return PVE::OCI::extract_image($ARCHIVE, $root, $options);
}

# Java processes of workers, of which one may have the job.
sub workers () {
    return grep { ((process_status($_) // {})->{NSpid} // '') =~ /\t1\z/ } $daemon->descendants();
}

# How much of the image is there: nothing, a part, all.
sub part_of_image () {
    my $count = () = glob("$MOUNT/dir*");
    return $count == 0 ? 'none' : $count < 300 ? 'some' : 'all';
}

# The first moment is in the middle of the extraction, the others are anywhere.
sub kill_at_random ($name, $kill) {
    my @wrong;
    my %moments = (none => 0, some => 0, all => 0);
    for my $n (1 .. $COUNT) {
        mount_root();
        my $before = state_of_root();
        my $moment = rand($LONGEST);
        my $child = in_child(sub { extract($MOUNT); 1 });
        $n == 1 ? wait_until(sub { -e "$MOUNT/dir5" }) : sleep($moment);
        $moments{ part_of_image() }++;
        $kill->($child);
        my $result = result_of($child);
        my $is_done = defined($result->{value});
        my $is_client = $name eq 'client';
        push @wrong, "$moment s: left " . state_of_root() . " after $result->{error}"
            if !$is_done && !$is_client && state_of_root() ne $before;
        push @wrong, "$moment s: cannot be unmounted"
            if !wait_until(sub { system("umount $MOUNT 2>/dev/null") == 0 });
        mkdir("$DIRECTORY/next$n");
        my $next = result_of(in_child(sub {
            PVE::OCI::detect_archive($ARCHIVE, { socket => $daemon->{socket} })->{format};
        }));
        push @wrong, "$moment s: next job: $next->{error}" if defined($next->{error});
    }
    is_deeply(\@wrong, [], "$name: killed at $COUNT moments");
    cmp_ok($moments{some}, '>', 0, "$name: some of them in the middle");
    note(
        "$name: when there was of the image ",
        join(', ', map { "$_: $moments{$_}" } sort keys %moments)
    );
    return;
}

kill_at_random('client', sub ($child) { kill KILL => $child->{pid} });
kill_at_random('worker', sub ($child) { kill KILL => workers() });
ok(wait_until(sub { !PVE::OCI::list_jobs({ socket => $daemon->{socket} })->@* }), 'no job left');
kill_at_random(
    'daemon',
    sub ($child) {
        my @workers = $daemon->descendants();
        $daemon->stop('KILL');
        wait_until(sub {
            !grep { process_status($_) } @workers;
        })
            or diag('workers outlive the daemon');
        $daemon->run();
    },
);

subtest 'the command when the daemon is killed' => sub {
    mount_root();
    my $before = state_of_root();
    my $command = "$FindBin::Bin/../bin/pve-oci extract --socket $daemon->{socket}"
        . " --bwlimit 100 $ARCHIVE $MOUNT 2>&1";
    my $child = in_child(sub { scalar(qx($command)) });
    ok(wait_until(sub { -e "$MOUNT/dir5" }), 'in the middle');
    $daemon->stop('KILL');
    my $said = result_of($child)->{value};
    like($said, qr/has removed what pve-ocid had left/, 'says who has cleaned up');
    like($said, qr/\Q$MOUNT\E is as it was before/, 'says that it is clean');
    is(state_of_root(), $before, 'it is');
    is(system('umount', $MOUNT), 0, 'nothing holds it');
};

# The launcher kills the worker when the daemon dies. One that is stopped does so when it goes on.
subtest 'a worker that outlives the daemon' => sub {
    $daemon->run();
    mount_root();
    my $before = state_of_root();
    my $log = "$DIRECTORY/said";
    my $child = in_child(sub {
        system(   "$FindBin::Bin/../bin/pve-oci extract --socket $daemon->{socket}"
                . " --bwlimit 100 $ARCHIVE $MOUNT >$log 2>&1");
    });
    ok(wait_until(sub { -e "$MOUNT/dir5" }), 'in the middle');
    my @workers = workers();
    my %is_worker = map { $_ => 1 } @workers;
    my @launchers = grep { !$is_worker{$_} } $daemon->descendants();
    kill STOP => @launchers, @workers;
    $daemon->stop('KILL');
    my $said = sub () {
        open(my $handle, '<', $log) or return '';
        local $/ = undef;
        return readline($handle) // '';
    };
    ok(wait_until(sub { $said->() =~ /waiting for the end of its worker/ }), 'is waited for');
    kill CONT => @workers;
    sleep(0.5); # it may write
    kill CONT => @launchers;
    ok(
        wait_until(sub {
            !grep { process_status($_) } @workers;
        }),
        'it ends'
    );
    result_of($child);
    is(state_of_root(), $before, 'everything is as it was') or diag($said->());
    ok(wait_until(sub { system("umount $MOUNT 2>/dev/null") == 0 }), 'nothing holds it');
};

# Nobody is left who could clean up. The next job does not take the directory for a new one.
subtest 'command and daemon killed together' => sub {
    $daemon->run();
    mount_root();
    my $child = in_child(sub { extract($MOUNT) });
    ok(wait_until(sub { -e "$MOUNT/dir5/file" }), 'in the middle');
    kill KILL => $child->{pid};
    $daemon->stop('KILL');
    result_of($child);
    $daemon->run();
    for my $mode (qw(daemon embedded)) {
        my %options = (mode => $mode, $mode eq 'daemon' ? (socket => $daemon->{socket}) : ());
        is(eval { PVE::OCI::extract_image($ARCHIVE, $MOUNT, \%options); 1 }, undef, $mode);
        like($@, qr/\Q$MOUNT\E is not empty: it holds dir\d+/, "$mode: refused, and why");
    }
    ok(wait_until(sub { system("umount $MOUNT 2>/dev/null") == 0 }), 'nothing holds it');
};

done_testing();
