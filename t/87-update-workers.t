#!/usr/bin/perl
# The worker that the steps of one update share: who may have it, that it runs no code while it
# waits, and when it ends.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use PVE::OCI::RootUpdate;
use PVE::OCI::Session;
use RealDaemon qw(in_child result_of);
use TestSupport qw(process_status wait_until);
use TestUpdate qw(application fresh_rootfs shell slurp);

plan(skip_all => 'needs root') if $> != 0;

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @IMAGE = (undef, map { application("$FOLDER/v$_.tar", $_) } 1, 2);
# without spares, every process below it is of a job
my $DAEMON = RealDaemon->start(qw(--spares 0));
my $MAP = [['u', 0, 100_000, 65_536], ['g', 0, 100_000, 65_536]];

sub rootfs () { return fresh_rootfs($IMAGE[1], '--socket', $DAEMON->{socket}) }

sub options ($session, %more) {
    return { socket => $DAEMON->{socket}, session => $session, id_map => $MAP, %more };
}

sub stage ($rootdir, $session) {
    return PVE::OCI::RootUpdate::stage_update($IMAGE[2], $rootdir, options($session));
}

sub apply ($step, $rootdir, $session, %more) {
    return PVE::OCI::RootUpdate::apply_update($step, $rootdir, options($session, %more));
}

sub compare ($rootdir, $session) {
    return PVE::OCI::RootUpdate::compare_root_directory($rootdir, options($session));
}

# The sandboxed processes, without their parents.
sub workers () {
    return grep { ((process_status($_) // {})->{Seccomp} // '') eq '2' } $DAEMON->descendants();
}

sub are_gone ($what) {
    return ok(wait_until(sub { !$DAEMON->descendants() }), "$what: no worker is left");
}

sub is_stopped ($pid) {
    my @states = map { slurp($_) =~ /^State:\s+(\S)/m ? $1 : '?' } glob("/proc/$pid/task/*/status");
    return @states && !grep { $_ ne 'T' } @states;
}

# One that waits, and nothing else: a reply comes before the end of the worker that gave it, if that
# is not kept.
sub waiting ($what) {
    my @workers;
    ok(wait_until(sub { (@workers = workers()) == 1 }), "$what: one worker is there");
    ok(wait_until(sub { is_stopped($workers[0]) }), 'and is stopped, with all its threads');
    return $workers[0];
}

sub of_one_root ($what, $code) {
    my $rootdir = rootfs();
    are_gone('extracted');
    my $session = PVE::OCI::Session->new();
    subtest $what => sub { $code->($rootdir, $session) };
    $session->end();
    are_gone($what);
    return;
}

of_one_root(
    'the steps of an update have one worker',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        my $pid = waiting('staged');
        my @open = map { readlink($_) // () } glob("/proc/$pid/fd/*");
        my @others = grep { m{\A/} && !m{\.jar\z|/lib/modules\z|\A/dev/null\z} } @open;
        is("@others", '', 'no file or directory is open');
        for my $step (qw(record switch finish)) {
            apply($step, $rootdir, $session);
            is(waiting($step), $pid, 'the same');
        }
        compare($rootdir, $session);
        apply('rollBack', $rootdir, $session);
        is(waiting('rolled back'), $pid, 'the same');
        is(shell($rootdir, 'cat bin/app'), "application 1\n", 'all of them did their work');
    }
);

of_one_root(
    'another image gets another worker',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        my $pid = waiting('staged');
        apply('abandon', $rootdir, $session);
        stage($rootdir, $session);
        isnt(waiting('staged again'), $pid, 'another one');
        mkdir("$FOLDER/other") or die $!;
        PVE::OCI::extract_image($IMAGE[1], "$FOLDER/other", options($session));
        are_gone('extracted');
    }
);

of_one_root(
    'another root directory or ID map, another worker',
    sub ($rootdir, $session) {
        my $other = rootfs();
        compare($rootdir, $session);
        my $first = waiting('compared');
        compare($other, $session);
        my $second = waiting('the other one');
        isnt($second, $first, 'another root directory');
        # the same path, another directory
        rename($other, "$other.old") && system('cp', '-a', "$other.old", $other) == 0 or die $!;
        compare($other, $session);
        my $third = waiting('a copy in its place');
        isnt($third, $second, 'another directory of the same name');
        my $map = [map { [$_->[0], 0, 100_000, 65_535] } $MAP->@*];
        apply('abandon', $other, $session, id_map => $map);
        isnt(waiting('another map'), $third, 'another ID map');
        system('rm', '-rf', "$other.old");
    }
);

of_one_root(
    'another client gets another worker',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        my $pid = waiting('staged');
        my $other = PVE::OCI::Session->new();
        apply('switch', $rootdir, $other);
        is(scalar(workers()), 2, 'each client has its own');
        ok((grep { $_ == $pid } workers()), 'the first one waits');
        $other->end();
        ok(wait_until(sub { workers() == 1 }), 'it ends with its client');
    }
);

of_one_root(
    'after a failure there is none',
    sub ($rootdir, $session) {
        compare($rootdir, $session);
        waiting('compared');
        ok(!eval { apply('switch', $rootdir, $session); 1 }, 'nothing is staged');
        are_gone('failed');
    }
);

of_one_root(
    'one that dies is replaced',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        my $pid = waiting('staged');
        kill KILL => $pid;
        ok(wait_until(sub { !-e "/proc/$pid" }), 'killed while it waits');
        apply('switch', $rootdir, $session);
        isnt(waiting('switched'), $pid, 'another one');
        apply('finish', $rootdir, $session);
        is(shell($rootdir, 'cat bin/app'), "application 2\n", 'updated');
    }
);

of_one_root(
    'nobody waits for long',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        my $pid = waiting('staged');
        my $start = time();
        ok(wait_until(sub { !-e "/proc/$pid" }), 'it ends although its client is there');
        ok(time() - $start > 1, 'after some seconds');
        apply('switch', $rootdir, $session);
        isnt(waiting('switched'), $pid, 'the next step has another one');
    }
);

of_one_root(
    'calls of other kinds do not hold it',
    sub ($rootdir, $session) {
        compare($rootdir, $session);
        waiting('compared');
        PVE::OCI::inspect_image($IMAGE[1], options($session));
        are_gone('inspected');
        compare($rootdir, $session);
        waiting('compared again');
        my $connection = $session->take("socket $DAEMON->{socket}");
        syswrite($connection->{socket}, qq({"method":"io.pve.oci.ListJobs","more":true}\0"));
        are_gone('listing');
        close($connection->{socket});
    }
);

subtest 'not more than two wait' => sub {
    my @rootdirs = map { rootfs() } 1 .. 3;
    my @sessions = map { PVE::OCI::Session->new() } @rootdirs;
    are_gone('extracted');
    compare($rootdirs[$_], $sessions[$_]) for 0 .. 1;
    my @first = sort(workers());
    is(scalar(@first), 2, 'two wait');
    my $are_alone = sub () { return join(' ', sort(workers())) eq "@first" };
    compare($rootdirs[2], $sessions[2]);
    ok(wait_until($are_alone), 'the third does not');
    apply('abandon', $rootdirs[2], $sessions[2]);
    ok(wait_until($are_alone), 'and its next step has one of its own');
    $sessions[0]->end();
    ok(wait_until(sub { workers() == 1 }), 'one less');
    compare($rootdirs[2], $sessions[2]);
    is(scalar(workers()), 2, 'now there is room');
    $_->end() for @sessions;
    are_gone('all');
};

subtest 'the root directory can be unmounted between the steps' => sub {
    my $mount = tempdir(CLEANUP => 1);
    system('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', $mount) == 0 or die "mount\n";
    my $source = rootfs();
    system('cp', '-a', "$source/.", $mount) == 0 or die "cp\n";
    my $session = PVE::OCI::Session->new();
    stage($mount, $session);
    waiting('staged');
    is(system('umount', $mount), 0, 'at once');
    $session->end();
    are_gone('all');
};

subtest 'it dies with its client, and with the daemon' => sub {
    my $rootdir = rootfs();
    for my $victim (qw(client daemon)) {
        my $child = in_child(sub {
            my $session = PVE::OCI::Session->new();
            compare($rootdir, $session);
            sleep(60);
        });
        my @workers;
        ok(
            wait_until(sub { @workers = workers(); @workers && is_stopped($workers[0]) }),
            $victim
        );
        if ($victim eq 'client') {
            kill KILL => $child->{pid};
            are_gone('client killed');
        } else {
            $DAEMON->stop('KILL');
            ok(wait_until(sub { !-e "/proc/$workers[0]" }), 'daemon killed: it is gone');
            kill KILL => $child->{pid};
        }
        waitpid($child->{pid}, 0);
    }
    $DAEMON->run();
};

of_one_root(
    'a daemon that was started again does the next step',
    sub ($rootdir, $session) {
        stage($rootdir, $session);
        $DAEMON->stop();
        $DAEMON->run();
        apply('switch', $rootdir, $session);
        apply('finish', $rootdir, $session);
        is(shell($rootdir, 'cat bin/app'), "application 2\n", 'updated');
    }
);

done_testing();
