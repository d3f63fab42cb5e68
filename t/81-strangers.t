#!/usr/bin/perl
# A daemon whose socket is open to everybody, and users other than root who do what they can to
# it. Whatever they do, root's call is answered at once and nothing of theirs stays.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON;
use POSIX ();
use Socket qw(SCM_RIGHTS SOL_SOCKET);
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(at_most home wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

# of sendmsg(2)
my $SENDMSG = (POSIX::uname())[4] eq 'x86_64' ? 46 : 211;
my $STRANGER = 65534;
my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $SMALL = write_image("$DIRECTORY/small.tar", { Cmd => ['x'] }, entry('0', 'a', content => 'a'));
my $daemon = RealDaemon->start();
chmod(0666, $daemon->{socket}) or die "chmod: $!\n";

sub as_stranger ($code, $uid = $STRANGER) {
    return in_child(sub {
        POSIX::setgid($uid);
        POSIX::setuid($uid);
        return $code->();
    });
}

sub connection () {
    return IO::Socket::UNIX->new(Peer => $daemon->{socket});
}

# Sends bytes with descriptors; false when the kernel refuses them.
sub send_descriptors ($socket, $bytes, @fds) {
    # struct iovec: base, length
    my $vector = pack('P Q', $bytes, length($bytes));
    # struct cmsghdr: length, level, type, then the descriptors
    my $control = pack('Q l l l*', 16 + 4 * @fds, SOL_SOCKET, SCM_RIGHTS, @fds);
    $control .= "\0" x (-length($control) % 8);
    # struct msghdr: name, its length, iovec, count, control, its length, flags
    my $message = pack('Q L x4 P Q P Q L x4', 0, 0, $vector, 1, $control, length($control), 0);
    return syscall($SENDMSG, fileno($socket), $message, 0x4000) == length($bytes);
}

sub call_of ($method, $parameters) {
    return encode_json({ method => "io.pve.oci.$method", parameters => $parameters }) . "\0";
}

sub root_is_served ($while) {
    my $start = time();
    my $format =
        eval { PVE::OCI::detect_archive($SMALL, { socket => $daemon->{socket} })->{format} };
    is($format, 'ociArchive', "$while: root is served") or diag($@);
    cmp_ok(time() - $start, '<', at_most(5), "$while: soon");
    return;
}

# Asks nothing, while all else is tried here: how it ends is looked at last.
my $silent = as_stranger(
    sub {
        my $socket = connection() or die "connect: $!\n";
        my $start = time();
        my $count = sysread($socket, my $end, 1) // die "read: $!\n";
        return { count => $count, seconds => time() - $start };
    },
    $STRANGER - 1,
);

subtest 'what is for root' => sub {
    my $map = [{ inside => 0, outside => 200_000, count => 1 }];
    my %calls = (
        DetectArchive => { archivePath => $SMALL },
        InspectImage => { archiveFileDescriptor => 0 },
        ParseAndExtractImage => {
            archivePath => $SMALL, rootDirectory => $DIRECTORY, uidMap => $map, gidMap => $map,
        },
    );
    for my $method (sort keys %calls) {
        my $call = call_of($method, $calls{$method});
        my $reply = result_of(as_stranger(sub { ($daemon->talk($call))[0] }))->{value};
        like($reply, qr/PermissionDenied.*root only, not for uid $STRANGER/, $method);
    }
    my $list = call_of('ListJobs', {});
    my $reply = result_of(as_stranger(sub { ($daemon->talk($list))[0] }))->{value};
    like($reply, qr/"jobs":\[\]/, 'a list of their jobs is for all');
};

subtest 'descriptors' => sub {
    root_is_served('before');
    sleep(1);
    my $before = $daemon->usage()->{fds};
    my $stranger = as_stranger(sub {
        open(my $null, '<', '/dev/null') or die "open: $!\n";
        my @kept;
        for (1 .. 20) {
            my $socket = connection() or die "connect: $!\n";
            send_descriptors($socket, '{', (fileno($null)) x 200);
            push @kept, $socket;
        }
        sleep(3);
        return 'done';
    });
    sleep(1);
    cmp_ok($daemon->usage()->{fds} - $before, '<=', 50, 'a connection is all the daemon has');
    is(result_of($stranger)->{value}, 'done', 'they were sent');

    my $socket = connection();
    open(my $null, '<', '/dev/null') or die "open: $!\n";
    # refused until the daemon has seen who it is
    ok(
        wait_until(
            sub { send_descriptors($socket, call_of('ListJobs', {}), (fileno($null)) x 3) }
        ),
        'root may pass some'
    );
    is(sysread($socket, my $reply, 1000), 0, 'more than two of root end the connection');
    root_is_served('descriptors');
};

subtest 'the jobs of others' => sub {
    my $slow = write_image(
        "$DIRECTORY/slow.tar", { Cmd => ['x'] },
        entry('0', 'a', content => join('', map { pack('N', rand(2**32)) } 1 .. 300_000)),
    );
    mkdir("$DIRECTORY/root") or die "mkdir: $!\n";
    my $options = { socket => $daemon->{socket}, bwlimit => 100 };
    my $child =
        in_child(sub { PVE::OCI::extract_image($slow, "$DIRECTORY/root", $options); 1 });
    my $job = $daemon->wait_for_job(sub ($job) {
        $job->{progress}->{phase} eq 'extracting';
    });
    ok($job, 'a job of root') or return;
    for my $call (call_of('ListJobs', {}), call_of('CancelJob', { id => $job->{id} })) {
        my $reply = result_of(as_stranger(sub { ($daemon->talk($call))[0] }))->{value};
        unlike(
            $reply, qr/slow\.tar|"parameters":\{\}/,
            'is not shown to others, nor ended by them'
        );
        like($reply, qr/"jobs":\[\]|NoSuchJob/, 'there is none for them');
    }
    is(scalar(PVE::OCI::list_jobs($options)->@*), 1, 'it goes on');
    PVE::OCI::cancel_job($job->{id}, $options);
    like(result_of($child)->{error}, qr/was cancelled/, 'root ends it');
};

# The last close(2) of such a descriptor takes as long as its owner says, wherever it happens: also
# where a message is dropped that came before its connection was accepted.
subtest 'descriptors whose close waits' => sub {
    my ($major, $minor) = (POSIX::uname())[2] =~ /\A([0-9]+)\.([0-9]+)/;
    plan(skip_all => 'the kernel cannot refuse descriptors') if $major * 1000 + $minor < 6016;
    my $call = call_of('ListJobs', {});
    my $stranger = as_stranger(sub {
        my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
            or die "$!\n";
        my ($passed, @kept) = (0);
        for (1 .. 20) {
            my $lingers = IO::Socket::INET->new(
                PeerAddr => '127.0.0.1',
                PeerPort => $listener->sockport()
            ) or die "connect: $!\n";
            push @kept, $listener->accept();
            $lingers->blocking(0);
            1 while syswrite($lingers, 'x' x 65536);
            my $socket = connection() or die "connect: $!\n";
            $passed++ if send_descriptors($socket, $call, fileno($lingers));
            push @kept, $socket;
        }
        return $passed;
    });
    is(result_of($stranger)->{value}, 0, 'the kernel refuses them from the first byte on');
    root_is_served('descriptors whose close waits');
    open(my $archive, '<', $SMALL) or die "open: $!\n";
    for my $mode (0666, 0600) {
        chmod($mode, $daemon->{socket}) or die "chmod: $!\n";
        my $options = { socket => $daemon->{socket} };
        is(
            eval { PVE::OCI::detect_archive($archive, $options)->{format} }, 'ociArchive',
            sprintf('root passes them, socket of mode %o', $mode)
        ) or diag($@);
    }
    sleep(0.2);
    my $socket = connection();
    ok(
        send_descriptors($socket, $call, fileno($archive)),
        'and at once where only root may connect'
    );
    chmod(0666, $daemon->{socket}) or die "chmod: $!\n";
    sleep(0.2);
};

# Of whatever kind: the kernel does not look at what they are. One that root passes is looked at by
# the daemon.
subtest 'descriptors of every kind' => sub {
    my ($MEMFD, $EPOLL, $PATH_ONLY, $AT_FDCWD) = (319, 291, 0x200000, -100);
    plan(skip_all => 'numbers of x86_64') if (POSIX::uname())[4] ne 'x86_64';
    my $removed = "$DIRECTORY/removed";
    mkdir($removed) or die "mkdir: $!\n";
    pipe(my $reader, my $writer) or die "pipe: $!\n";
    my $name = 'memory';
    my %fds = (
        memfd => syscall($MEMFD, $name, 0), epoll => syscall($EPOLL, 0),
        pipe => fileno($reader),
    );
    my %flags = ("$DIRECTORY/" => $PATH_ONLY, '/proc/self/mem' => 2, $removed => 0);
    $fds{$_} = POSIX::dup(POSIX::open($_, $flags{$_})) for keys %flags;
    rmdir($removed) or die "rmdir: $!\n";
    my $before = $daemon->usage()->{fds};
    for my $kind (sort(keys %fds), 'the connection itself') {
        my $passed = result_of(as_stranger(sub {
            my $socket = connection() or die "connect: $!\n";
            my $fd = $fds{$kind} // fileno($socket);
            return send_descriptors($socket, call_of('ListJobs', {}), $fd)
                ? 'passed'
                : 'refused';
        }))->{value};
        is($passed, 'refused', "$kind of a stranger");
        my $socket = connection() or die "connect: $!\n";
        my $call = call_of('DetectArchive', { archiveFileDescriptor => 0 });
        my $fd = $fds{$kind} // fileno($socket);
        ok(wait_until(sub { send_descriptors($socket, $call, $fd) }), "$kind of root");
        sysread($socket, my $reply, 1000);
        like($reply, qr/"error":"io\.pve\.oci\.\w+"|"format":"unknown"/, "$kind: no archive");
    }
    root_is_served('descriptors of every kind');
    ok(wait_until(sub { $daemon->usage()->{fds} <= $before + 2 }), 'none of them is kept');
};

subtest 'connections' => sub {
    my $stranger = as_stranger(sub {
        my @kept = map { connection() } 1 .. 300;
        sleep(4);
        return 'done';
    });
    sleep(1.5);
    root_is_served('300 idle connections');
    result_of($stranger);
    like(
        $daemon->log_text(), qr/connection refused, there are too many uid=$STRANGER/,
        'logged'
    );
};

subtest 'connections of many users' => sub {
    my $before = $daemon->usage();
    my @strangers = map {
        as_stranger(
            sub {
                my @kept = map { connection() } 1 .. 60;
                send($_, '{"method":', 0x4000) for @kept;
                sleep(4);
                return 'done';
            },
            60_000 + $_
        );
    } 1 .. 8;
    sleep(1.5);
    root_is_served('480 connections of 8 users');
    cmp_ok($daemon->usage()->{threads} - $before->{threads}, '<=', 40, 'few have a thread');
    is(result_of($_)->{value}, 'done', 'they were there') for @strangers;
};

subtest 'frames' => sub {
    my $stranger = as_stranger(sub {
        my @kept = map { connection() } 1 .. 60;
        local $SIG{PIPE} = 'IGNORE';
        for my $socket (@kept) {
            $socket->blocking(0);
            syswrite($socket, 'x' x (1 << 20));
        }
        sleep(1); # they end, and this user may have one more
        my $unfinished = connection();
        syswrite($unfinished, '{"method":');
        my $start = time();
        sysread($unfinished, my $end, 1);
        return time() - $start;
    });
    sleep(1);
    root_is_served('large frames');
    my $seconds = result_of($stranger)->{value};
    cmp_ok($seconds, '>', 5, 'an unfinished frame is waited for');
    cmp_ok($seconds, '<', at_most(20), 'not for ever');
};

# Several in one message. A slow machine answers less of them.
subtest 'calls' => sub {
    my $call = call_of('ListJobs', {});
    my @strangers = map {
        as_stranger(sub {
            my $socket = connection();
            my ($end, $answers) = (time() + 3, 0);
            while (time() < $end) {
                syswrite($socket, $call x 100);
                for (my $left = 100; $left > 0;) {
                    sysread($socket, my $bytes, 65536) or die "read: $!\n";
                    $left -= my $count = $bytes =~ tr/\0//;
                    $answers += $count;
                }
            }
            return $answers / (time() - $end + 3);
        })
    } 1 .. 4;
    sleep(1);
    root_is_served('calls without a pause');
    my $rate = 0;
    $rate += result_of($_)->{value} for @strangers;
    note("$rate calls a second");
    cmp_ok($rate, '>', 0, 'strangers are served');
    cmp_ok($rate, '<=', 2100, 'at most two thousand times a second');
};

# journald drops the lines of a service that writes too many, the important ones among them.
subtest 'the log' => sub {
    my $lines = sub { scalar(() = $daemon->log_text() =~ /\n/g) };
    my $before = $lines->();
    my @wrong = (
        "no JSON\0", '{"method":', qq({"a":1,"a":2}\0), 'x' x 5000, "\0",
        call_of('DetectArchive', { archivePath => $SMALL }), call_of('No', {}),
    );
    my $stranger = as_stranger(sub {
        local $SIG{PIPE} = 'IGNORE';
        for (1 .. 50) {
            for my $bytes (@wrong) {
                my $socket = connection() or die "connect: $!\n";
                syswrite($socket, $bytes);
                shutdown($socket, 1);
                sysread($socket, my $reply, 1000);
            }
        }
        return 'done';
    });
    is(result_of($stranger)->{value}, 'done', 'what is wrong, 350 times');
    cmp_ok($lines->() - $before, '<', 10, 'few lines are logged of it');
    $daemon->talk('no JSON of root' . "\0");
    ok(
        wait_until(sub { $daemon->log_text() =~ /connection dropped uid=0 .*'no'/ }),
        'what root sends is logged always'
    );
};

subtest 'a connection without a call' => sub {
    my $result = result_of($silent);
    is($result->{error}, undef, 'ends') or return;
    is($result->{value}->{count}, 0, 'without a reply');
    cmp_ok($result->{value}->{seconds}, '>', 50, 'not at once');
};

# A file system of the stranger's that never answers FLUSH, which close(2) waits for.
subtest 'a file system that does not answer' => sub {
    my $attacks = "$FindBin::Bin/../../shared/attacks";
    plan(skip_all => 'no ../shared/attacks/fuse-server.py') if !-e "$attacks/fuse-server.py";
    plan(skip_all => 'no /dev/fuse') if !-e '/dev/fuse';
    mkdir("$DIRECTORY/fuse") or die "mkdir: $!\n";
    mkdir('/tmp/pve-oci-attacks');
    open(my $pids, '>', '/tmp/pve-oci-attacks/fusepid') or die "open: $!\n";
    close($pids) or die "close: $!\n";
    my $server = fork() // die "fork: $!\n";
    if (!$server) {
        open(STDOUT, '>', "$DIRECTORY/fuse.log") or POSIX::_exit(99);
        exec('python3', "$attacks/fuse-server.py", "$DIRECTORY/fuse", 60) or POSIX::_exit(98);
    }
    my $mounted = wait_until(sub { system("grep -q $DIRECTORY/fuse /proc/mounts") == 0 });
    my $client = as_stranger(sub {
        open(my $file, '<', "$DIRECTORY/fuse/file") or die "open: $!\n";
        for (1 .. 5) {
            my $socket = connection() or die "connect: $!\n";
            send_descriptors(
                $socket, call_of('DetectArchive', { archiveFileDescriptor => 0 }),
                fileno($file)
            );
        }
        POSIX::_exit(0);
    });
    sleep(1);
    root_is_served('a file system that does not answer');
    kill KILL => $client->{pid};
    my $start = time();
    is($daemon->stop(), 0, 'the daemon ends well');
    cmp_ok(time() - $start, '<', at_most(8), 'in time');
    kill KILL => $server;
    waitpid($_, 0) for $server, $client->{pid};
    system('umount', '-l', "$DIRECTORY/fuse") if $mounted;
};

done_testing();
