#!/usr/bin/perl
# Faults and load: what is injected, and what comes back. Each line of notes is a row of that table.
# PVE_OCI_TEST_JOBS: how many jobs in a row must not make the daemon grow (40).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Faults qw($DAEMON $DIRECTORY $LARGE @MOUNTED $SMALL busy_worker entries_of extract is_error
    mount_root new_root nothing_left row serves_on slow_extraction try_extract umount_root);
use PVE::OCI;
use PVE::OCI::Embedded;
use RealDaemon qw(in_child result_of);
use TestSupport qw(at_most process_status wait_until);

Faults::prepare();

subtest 'load' => sub {
    my $start = time();
    my @clients = map {
        my $root = new_root();
        in_child(sub { extract($SMALL, $root); 1 });
    } 1 .. 64;
    my @failed = grep { $_->{error} } map { result_of($_) } @clients;
    is_deeply(\@failed, [], '64 clients at once');
    row(sprintf('64 extractions at once (%.1f s)', time() - $start), $failed[0] // {});

    my $count = $ENV{PVE_OCI_TEST_JOBS} // 40;
    my ($before, @errors);
    $start = time();
    for my $n (1 .. 20 + $count) {
        my $root = new_root();
        my $result = try_extract($SMALL, $root);
        push @errors, $result->{error} if $result->{error};
        system('rm', '-r', $root);
        if ($n == 20) {
            wait_until(sub { $DAEMON->usage()->{processes} == 2 });
            $before = $DAEMON->usage();
        }
    }
    # the last worker is gone, the next spare is there, and is not being warmed at the moment: that
    # takes descriptors and a thread
    my $after;
    wait_until(sub {
        $after = $DAEMON->usage();
        return $after->{processes} == $before->{processes}
            && !grep { $after->{$_} > $before->{$_} + 2 } qw(fds threads);
    });
    is_deeply(\@errors, [], "$count jobs in a row");
    cmp_ok($after->{$_}, '<=', $before->{$_} + 2, "no growth: $_")
        for qw(fds processes threads);
    cmp_ok($after->{rss}, '<=', $before->{rss} + 16 * 1024, 'no growth: memory');
    row(
        sprintf(
            '%d jobs in a row (%.1f s): %s', $count, time() - $start,
            join(', ', map { "$_ $before->{$_} -> $after->{$_}" } sort keys $after->%*)
        ),
        {},
    );
};

# By the system call: umount(8) takes longer to start than a worker to end.
subtest 'rootfs unmounted right after the reply' => sub {
    my $umount2 = (POSIX::uname())[4] eq 'x86_64' ? 166 : 39;
    my @failed;
    for my $mode (PVE::OCI::Embedded::unavailable() ? 'daemon' : qw(daemon embedded)) {
        for my $round (1 .. 20) {
            my $root = mount_root('size=64m');
            extract($SMALL, $root, mode => $mode);
            if (syscall($umount2, $root, 0) == 0) {
                pop @MOUNTED;
            } else {
                push @failed, "$mode: $!";
            }
        }
    }
    is("@failed", '', 'never busy');
};

subtest 'clients that do not read' => sub {
    my @sockets;
    for (1 .. 16) {
        my $socket = IO::Socket::UNIX->new(Peer => $DAEMON->{socket}) or die "connect: $!\n";
        my $call = encode_json({
            method => 'io.pve.oci.InspectImage', parameters => { archivePath => $LARGE },
        });
        local $SIG{ALRM} = sub { die "full\n" };
        eval {
            alarm(1);
            syswrite($socket, "$call\0" x 200);
            alarm(0);
        };
        push @sockets, $socket;
    }
    my $start = time();
    my $result = try_extract($SMALL, new_root());
    is($result->{error}, undef, 'others are served');
    cmp_ok(time() - $start, '<', at_most(30), 'soon');
    row(sprintf('16 clients that never read (%.1f s)', time() - $start), $result);
    close($_) for @sockets;
    ok(
        wait_until(sub { !PVE::OCI::list_jobs({ socket => $DAEMON->{socket} })->@* }),
        'their jobs end'
    );
};

# However many jobs there are for one archive, and however long they take.
subtest 'many jobs of one archive' => sub {
    my $few = RealDaemon->start('--jobs', 4);
    my %options = (socket => $few->{socket});
    my @clients = map {
        my $root = new_root();
        in_child(sub { extract($LARGE, $root, %options, bwlimit => 256); 1 });
    } 1 .. 6;
    my $working = sub {
        return
            grep { $_->{progress}->{phase} eq 'extracting' } PVE::OCI::list_jobs({%options})->@*;
    };
    ok(wait_until(sub { $working->() == 3 }), 'three are at work');
    my $start = time();
    my $result = try_extract($SMALL, new_root(), %options);
    is($result->{error}, undef, 'a job of another archive is done');
    cmp_ok(time() - $start, '<', at_most(6), 'and does not wait for them');
    row(sprintf('6 slow jobs of one archive (%.1f s)', time() - $start), $result);
    is(scalar($working->()), 3, 'there are still three');
    kill KILL => map { $_->{pid} } @clients;
    result_of($_) for @clients;
};

subtest 'frames of every wrong kind' => sub {
    my $deep = '[' x 100_000;
    my @frames = (
        ['nothing but NUL', "\0", qr/\A\z/, 'closed'],
        ['no JSON', "hello\0", qr/\A\z/, 'closed'],
        ['an array', "[]\0", qr/\A\z/, 'closed'],
        ['null', "null\0", qr/\A\z/, 'closed'],
        ['two objects', "{}{}\0", qr/\A\z/, 'closed'],
        ['no method', "{}\0", qr/\A\z/, 'closed'],
        ['a method that is a number', qq({"method":1}\0), qr/\A\z/, 'closed'],
        ['a method without interface', qq({"method":"x"}\0), qr/org\.varlink\.service\.\w+/],
        ['an unknown interface', qq({"method":"a.b.C"}\0), qr/InterfaceNotFound/],
        ['an unknown method', qq({"method":"io.pve.oci.C"}\0), qr/MethodNotFound/],
        [
            'parameters that are a list',
            qq({"method":"io.pve.oci.ListJobs","parameters":[]}\0), qr/\A\z/, 'closed'
        ],
        [
            'an unknown parameter',
            qq({"method":"io.pve.oci.ListJobs","parameters":{"a":1}}\0), qr/InvalidParameter/
        ],
        [
            'a parameter of the wrong type',
            qq({"method":"io.pve.oci.DetectArchive","parameters":{"archivePath":7}}\0),
            qr/InvalidParameter/
        ],
        [
            'no parameter at all',
            qq({"method":"io.pve.oci.DetectArchive","parameters":{}}\0), qr/Invalid/
        ],
        [
            'a relative path',
            qq({"method":"io.pve.oci.DetectArchive","parameters":{"archivePath":"a"}}\0),
            qr/InvalidArgument/
        ],
        [
            'a descriptor that did not come',
            qq({"method":"io.pve.oci.DetectArchive","parameters":{"archiveFileDescriptor":9}}\0),
            qr/Invalid/
        ],
        ['a key twice', qq({"method":"a.b.C","method":"a.b.D"}\0), qr/\A\z/, 'closed'],
        ['bytes that are no UTF-8', qq({"method":"\xff\xfe"}\0), qr/\A\z/, 'closed'],
        ['deep nesting', qq({"method":"a.b.C","parameters":{"a":$deep\0), qr/\A\z/, 'closed'],
        ['3 MiB without NUL', 'x' x (3 << 20), qr/\A\z/, 'closed'],
    );
    for my $case (@frames) {
        my ($name, $bytes, $pattern, $end) = $case->@*;
        my ($reply, $ended) = $DAEMON->talk($bytes);
        like($reply, $pattern, $name);
        is($ended, $end // 'reply', "$name: $ended");
        my ($error) = $reply =~ /"error":"([^"]+)"/;
        diag(sprintf('%-44s | %s', "frame: $name", $error // $ended));
    }
    my ($reply, $ended) = $DAEMON->talk(qq({"method":"io.pve.oci.Li), 0.2);
    is($ended, 'silence', 'half a frame is waited for');
    serves_on('wrong frames');
};

subtest 'worker killed' => sub {
    my $root = mount_root('size=64m');
    my $child = slow_extraction($root);
    kill KILL => busy_worker();
    my $result = result_of($child);
    ok(umount_root($root), 'rootfs can be unmounted at once');
    is_error('worker killed (SIGKILL)', $result, 'io.pve.oci.WorkerFailed', qr/worker/);

    my $directory = new_root();
    $child = slow_extraction($directory);
    kill KILL => busy_worker();
    result_of($child);
    nothing_left('worker killed', $directory);
    serves_on('worker killed');
};

subtest 'worker stopped' => sub {
    my $root = new_root();
    my $child = slow_extraction($root);
    my $start = time();
    kill STOP => busy_worker();
    my $result = result_of($child);
    is_error(
        'worker stopped (SIGSTOP, hang = 10)', $result, 'io.pve.oci.WorkerFailed',
        qr/worker/
    );
    cmp_ok(time() - $start, '<', at_most(25), 'the limit of hanging counts');
    nothing_left('worker stopped', $root);
    serves_on('worker stopped');
};

# The job has the directory itself, so it does not matter what becomes of the way there.
subtest 'the directory above the root directory' => sub {
    my ($above, $moved) = map { "$DIRECTORY/$_" } qw(above moved);
    for my $path ($above, "$above/root") {
        mkdir($path) or die "mkdir: $!\n";
    }
    my $child = slow_extraction("$above/root");
    rename($above, $moved) or die "rename: $!\n";
    my $result = result_of($child);
    row('directory above renamed', $result);
    is($result->{error}, undef, 'renamed: done');
    is(scalar(entries_of("$moved/root/dir")->@*), 128, 'all files are where it is now');
    ok(!-e $above, 'nothing is made where it was');

    mkdir("$moved/other") or die "mkdir: $!\n";
    $child = slow_extraction("$moved/other");
    system('rm', '-rf', $moved);
    $result = result_of($child);
    row('directory above removed', $result);
    like($result->{error} // 'done', qr/ENOENT|does not exist|\Adone\z/, 'removed: ends');
    serves_on('directory above removed');
};

subtest 'client killed' => sub {
    my $root = mount_root('size=64m');
    my $child = slow_extraction($root);
    kill KILL => $child->{pid};
    my $result = result_of($child);
    my $start = time();
    ok(wait_until(sub { umount_root($root) }), 'rootfs can be unmounted');
    row(sprintf('client killed: unmounted after %.2f s', time() - $start), $result);
    ok(
        wait_until(sub { !PVE::OCI::list_jobs({ socket => $DAEMON->{socket} })->@* }),
        'no job left'
    );
    serves_on('client killed');
};

subtest 'daemon killed' => sub {
    my $root = mount_root('size=64m');
    my $child = slow_extraction($root);
    my @workers = $DAEMON->descendants();
    $DAEMON->stop('KILL');
    my $result = result_of($child);
    is_error(
        'daemon killed (SIGKILL)', $result, 'ConnectionLost',
        qr/connection to pve-ocid lost/
    );
    ok(
        wait_until(sub {
            !grep { process_status($_) } @workers;
        }),
        'workers die with it'
    );
    ok(umount_root($root), 'rootfs can be unmounted');
    is(try_extract($SMALL, new_root())->{name}, 'ConnectFailed', 'nobody listens');
    $DAEMON->run();
    serves_on('daemon killed, and started again');
};

Faults::end();
done_testing();
