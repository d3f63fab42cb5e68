#!/usr/bin/perl
# Two clients that update one root file system at once. Whoever holds flock(2) on the root directory
# from the first step to the last keeps all others out, whatever client or engine they use. Without
# that, another client's steps may come in between; then too the tree is always a whole one.
# PVE_OCI_TEST_STEPS: how many such steps (40).

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Fcntl qw(LOCK_EX LOCK_NB O_DIRECTORY O_RDONLY);
use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::LXC::OCI::Update;
use PVE::OCI::JVM;
use PVE::OCI::RootUpdate;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry);
use TestSupport qw(wait_until);
use TestUpdate qw(application fingerprint fresh_rootfs is_same_tree pve_oci shell slurp);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @IMAGE = (undef, map { application("$FOLDER/v$_.tar", $_) } 1 .. 3);
my $DAEMON = RealDaemon->start('--spares', 0);
my $MAP = [['u', 0, 100_000, 65_536], ['g', 0, 100_000, 65_536]];
my $RANGES = [{ inside => 0, outside => 100_000, count => 65_536 }];
my $APPLY = \&PVE::OCI::RootUpdate::apply_update;
my @STEPS = qw(record switch finish abandon reopen rollBack forget);
my $PENDING = qr/is being updated or rolled back by another call: wait for its end/;
my %ENGINES = (
    daemon => { socket => $DAEMON->{socket}, mode => 'daemon' },
    embedded => { mode => 'embedded' },
);

sub rootfs () {
    my $rootdir = fresh_rootfs($IMAGE[1], '--socket', $DAEMON->{socket});
    shell($rootdir, 'echo mine >data/mine; chown 100070:100070 data/mine');
    return $rootdir;
}

# A call by a client that is not ours. Returns its reply.
sub foreign ($rootdir, $method, $own, @words) {
    my %parameters = (rootDirectory => $rootdir, uidMap => $RANGES, gidMap => $RANGES, $own->%*);
    my @command = (
        'python3', "$FindBin::Bin/lib/raw-client.py",
        $DAEMON->{socket}, $method, encode_json(\%parameters), @words,
    );
    open(my $output, '-|', @command) or die "python3: $!\n";
    local $/ = undef;
    return decode_json(readline($output) || die "no reply\n");
}

sub foreign_stage ($rootdir, $version, @words) {
    return foreign($rootdir, 'StageUpdate', { archivePath => $IMAGE[$version] }, @words);
}

sub foreign_step ($rootdir, $step, @words) {
    return foreign($rootdir, 'ApplyUpdate', { step => $step }, @words);
}

# Everybody else's calls that change something; each has to be refused, and to change nothing.
sub others_are_refused ($rootdir, $where) {
    my $before = fingerprint($rootdir);
    my $list = sub () { shell($rootdir, 'find .pve.oci.* | LC_ALL=C sort') };
    my $files = $list->();
    my $refused = sub ($reply, $what) {
        is($reply->{error}, 'io.pve.oci.UpdatePending', "$where: $what");
        like($reply->{parameters}->{message}, $PENDING, 'and why');
    };
    $refused->(foreign_stage($rootdir, 3), 'StageUpdate');
    $refused->(foreign_step($rootdir, $_), $_) for @STEPS;
    $refused->(
        foreign($rootdir, 'CompareWithImage', { archivePath => $IMAGE[1] }),
        'CompareWithImage'
    );
    for my $engine (sort keys %ENGINES) {
        my $options = { $ENGINES{$engine}->%*, id_map => $MAP };
        ok(
            !eval { $APPLY->('abandon', $rootdir, $options); 1 },
            "$where: abandon, $engine"
        );
        like($@, $PENDING, 'and why');
        ok(
            !eval { PVE::OCI::RootUpdate::stage_update($IMAGE[3], $rootdir, $options); 1 },
            "$where: stage, $engine"
        );
        like($@, $PENDING, 'and why');
    }
    my $compared = foreign($rootdir, 'CompareRootDirectory', {});
    ok($compared->{parameters}->{comparison}, "$where: who only looks is let in")
        or diag(encode_json($compared));
    is($list->(), $files, "$where: no file has changed");
    is_same_tree(fingerprint($rootdir), $before, "$where: nor the tree");
    return;
}

for my $engine (sort keys %ENGINES) {
    subtest "between the steps of our own client, $engine" => sub {
        my $rootdir = rootfs();
        my ($before, @seen) = (fingerprint($rootdir));
        no warnings qw(redefine); ## no critic (ProhibitNoWarnings): a step in, between two
        local *PVE::OCI::RootUpdate::apply_update = sub ($step, @arguments) {
            push @seen, $step;
            others_are_refused($rootdir, "before $step");
            return $APPLY->($step, @arguments);
        };
        my $options = $ENGINES{$engine};
        my $reply = PVE::LXC::OCI::Update::on_rootfs(
            'update', $rootdir, { $options->%*, archive => $IMAGE[2] },
        );
        is($reply->{state}, 'updated', 'updated');
        is(slurp("$rootdir/bin/app"), "application 2\n", 'to the image that was asked for');
        is("@seen", 'switch finish', 'steps of the update');
        @seen = ();
        PVE::LXC::OCI::Update::on_rootfs('rollback', $rootdir, { $options->%* });
        is("@seen", 'abandon reopen rollBack', 'steps of the rollback');
        is_same_tree(fingerprint($rootdir), $before, 'everything is as it was');
        is(foreign_stage($rootdir, 3)->{error}, undef, 'then others may');
    };
}

subtest 'a client in another language' => sub {
    my $rootdir = rootfs();
    sysopen(my $lock, $rootdir, O_RDONLY | O_DIRECTORY) or die "$rootdir: $!\n";
    is(foreign_stage($rootdir, 2, 'lock')->{error}, undef, 'it stages');
    ok(flock($lock, LOCK_EX | LOCK_NB), 'its lock ends with it');
    my $reply = foreign_step($rootdir, 'switch');
    is($reply->{error}, 'io.pve.oci.UpdatePending', 'now another one has the lock');
    close($lock) or die "close: $!\n";
    is(foreign_step($rootdir, $_, 'lock')->{error}, undef, $_) for qw(switch finish);
    is(slurp("$rootdir/bin/app"), "application 2\n", 'updated');
};

subtest 'a descriptor that was passed without a lock' => sub {
    my $rootdir = rootfs();
    for my $engine (sort keys %ENGINES) {
        sysopen(my $handle, $rootdir, O_RDONLY | O_DIRECTORY) or die "$rootdir: $!\n";
        my $options = { $ENGINES{$engine}->%*, id_map => $MAP };
        PVE::OCI::RootUpdate::apply_update('abandon', $handle, $options);
        sysopen(my $other, $rootdir, O_RDONLY | O_DIRECTORY) or die "$rootdir: $!\n";
        ok(flock($other, LOCK_EX | LOCK_NB), "$engine: is not locked afterwards");
        ok(
            !eval { PVE::OCI::RootUpdate::apply_update('abandon', $handle, $options); 1 },
            "$engine: is refused when another one is"
        );
        like($@, $PENDING, 'and why');
    }
};

subtest 'a comparison with the image waits for an update' => sub {
    my $rootdir = rootfs();
    sysopen(my $handle, $rootdir, O_RDONLY | O_DIRECTORY) or die "$rootdir: $!\n";
    flock($handle, LOCK_EX) or die "flock: $!\n";
    my ($code, undef, $errors) =
        pve_oci('diff', '--checksum', $IMAGE[1], $rootdir, '--embedded');
    is($code, 1, 'as long as it lasts');
    like($errors, $PENDING, 'and why');
    close($handle) or die "close: $!\n";
    ($code, undef, $errors) = pve_oci('diff', '--checksum', $IMAGE[1], $rootdir, '--embedded');
    is($code, 0, 'then it goes on') or diag($errors);
};

subtest 'the daemon holds the lock of a client that was killed until its job is over' => sub {
    my $rootdir = rootfs();
    # 64 KiB that cannot be compressed, at 1 KiB/s: a minute
    my $layer = join(
        '',
        map {
            entry('0', "slow$_", content => join('', map { chr(rand(256)) } 1 .. 1024))
        } 1 .. 64
    );
    my $slow = application("$FOLDER/slow.tar", 2, {}, $layer);
    my $child = in_child(sub {
        PVE::LXC::OCI::Update::on_rootfs(
            'update', $rootdir,
            { $ENGINES{daemon}->%*, archive => $slow, bwlimit => 1 },
        );
    });
    ok(wait_until(sub { -e "$rootdir/.pve.oci.update/new/bin" }), 'it extracts');
    my ($job) = PVE::OCI::list_jobs($ENGINES{daemon})->@*;
    is($job->{rootDirectory}, $rootdir, 'the list of jobs names the root directory');
    kill(KILL => $child->{pid});
    result_of($child);
    my ($code, undef, $errors) =
        pve_oci('update', $rootdir, $IMAGE[3], '--socket', $DAEMON->{socket});
    is($code, 0, 'another call waits for that') or diag($errors);
    is(slurp("$rootdir/bin/app"), "application 3\n", 'and updates');
};

# Of a tree: the version of everything in it, if it is the same everywhere.
sub version_of ($rootdir) {
    my $contents = shell($rootdir, 'cat bin/app etc/app.conf lib*/*; ls -d only*');
    my %versions = map { $_ => 1 } $contents =~ /([123])$/mg;
    return join('+', sort keys %versions);
}

subtest 'steps of clients without a lock, in any order' => sub {
    my $seed = $ENV{PVE_OCI_TEST_SEED} // int(rand(1e9));
    note("PVE_OCI_TEST_SEED=$seed");
    srand($seed);
    my $rootdir = rootfs();
    my $data = fingerprint("$rootdir/data");
    my %outcomes;
    for my $number (1 .. $ENV{PVE_OCI_TEST_STEPS} // 40) {
        my $step = ('stage 2', 'stage 3', 'stage 1', @STEPS, qw(switch finish))[rand(12)];
        my $reply =
            $step =~ /\Astage ([123])/
            ? foreign_stage($rootdir, $1)
            : foreign_step($rootdir, $step);
        my $error = ($reply->{error} // 'done') =~ s/.*\.//r;
        $outcomes{"$step: $error"}++;
        like($error, qr/\A(?:done|UpdatePending|NothingToRollBack)\z/, "$number: $step")
            or diag($reply->{parameters}->{message});
        like(version_of($rootdir), qr/\A[123]\z/, 'a whole tree');
        is_same_tree(fingerprint("$rootdir/data"), $data, 'the data');
    }
    note("$outcomes{$_} times $_") for sort keys %outcomes;
    my ($code, undef, $errors) =
        pve_oci('update', $rootdir, $IMAGE[2], '--discard-changes', '--embedded');
    is($code, 0, 'the command puts it in order') or diag($errors);
    is(version_of($rootdir), 2, 'and updates');
    is_same_tree(fingerprint("$rootdir/data"), $data, 'the data');
};

done_testing();
