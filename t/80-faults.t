#!/usr/bin/perl
# Faults and load: what is injected, and what comes back. Each line of notes is a row of that table.
# PVE_OCI_TEST_JOBS: how many jobs in a row must not make the daemon grow (100, or fewer where they
# take long).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use PVE::OCI::Embedded;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(home process_status wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my @ROOT_MAP = map { [$_, '0', '100000', '65536'] } qw(u g);

sub noise ($size) {
    open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
    read($random, my $bytes, $size) == $size or die "urandom: $!\n";
    return $bytes;
}

my $CONFIG = { Cmd => ['/bin/sh'] };
my $SMALL =
    write_image("$DIRECTORY/small.tar", $CONFIG, map { entry('0', $_, content => $_) } qw(a b));

# 8 MiB that do not compress, so that a limit on the bandwidth makes it last.
my @NOISE = map { entry('0', "dir/file$_", content => noise(32 * 1024)) } 1 .. 128;
my $LARGE = write_image(
    "$DIRECTORY/large.tar", $CONFIG, join('', entry('5', 'dir/'), @NOISE[0 .. 63]),
    join('', @NOISE[64 .. 127])
);
my $BANDWIDTH = 1024; # KiB/s

my $daemon = RealDaemon->start('--hang', 10, '--queue', 100);
my $serial = 0;
my @mounted;

END {
    local $?;
    system('umount', '-l', $_) for @mounted;
}

sub new_root() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir($path) or die "mkdir $path: $!\n";
    return $path;
}

sub mount_root ($options, @device) {
    my $path = new_root();
    my @source = @device ? @device : ('-t', 'tmpfs', 'tmpfs');
    my $said = qx{mount -o $options @source $path 2>&1};
    die "mount: $said" if $?;
    push @mounted, $path;
    return $path;
}

sub umount_root ($path) {
    my $ok = system('umount', $path) == 0;
    @mounted = grep { $_ ne $path } @mounted if $ok;
    return $ok;
}

sub entries_of ($path) {
    opendir(my $directory, $path) or return ["$!"];
    return [sort grep { !/\A(?:\.\.?|lost\+found)\z/ } readdir($directory)];
}

sub extract ($archive, $root, %options) {
    return PVE::OCI::extract_image(
        $archive, $root, { socket => $daemon->{socket}, id_map => \@ROOT_MAP, %options },
    );
}

sub try_extract ($archive, $root, %options) {
    my $value = eval { extract($archive, $root, %options) };
    return { value => $value } if $value;
    return { error => $@ =~ s/\n\z//r, name => (PVE::OCI::Error::caught($@) // {})->{name} };
}

# An extraction that lasts, in a process of its own, once it has written something.
sub slow_extraction ($root, $archive = $LARGE) {
    my $child = in_child(sub { extract($archive, $root, bwlimit => $BANDWIDTH); 1 });
    $daemon->wait_for_job(sub ($job) {
        ($job->{rootDirectory} // '') eq $root && $job->{progress}->{entriesWritten} > 5;
    }) or die "extraction does not begin\n";
    return $child;
}

# The Java process of the worker that has the job: the one that has an archive of this test open.
# Its descriptor is on a mount of its own, so it has no name that could be compared.
sub busy_worker () {
    my %archives = map { join(':', (stat($_))[0, 1]) => 1 } $SMALL, $LARGE;
    my @java = grep { (process_status($_) // {})->{NSpid} =~ /\t1\z/ } $daemon->descendants();
    for my $process (@java) {
        for my $file (glob("/proc/$process/fd/*")) {
            my ($device, $inode) = stat($file);
            return $process if defined($inode) && $archives{"$device:$inode"};
        }
    }
    die "no worker has an archive open\n";
}

sub row ($injected, $result) {
    my $error = $result->{error};
    diag(sprintf(
        '%-44s | %s', $injected,
        defined($error) ? ($result->{name} // 'no name') . ": $error" : 'done'
    ));
    return;
}

sub is_error ($injected, $result, $name, $pattern) {
    row($injected, $result);
    is($result->{name}, $name, "$injected: $name");
    like($result->{error}, $pattern, "$injected: message");
    unlike($result->{error} // '', qr/\n/, "$injected: one line");
    return;
}

sub serves_on ($injected) {
    my $result = try_extract($SMALL, new_root());
    is($result->{error}, undef, "$injected: the next job is done");
    return;
}

sub nothing_left ($injected, $root) {
    is_deeply(entries_of($root), [], "$injected: root directory as before");
    return;
}

subtest 'load' => sub {
    my $start = time();
    my @clients = map {
        my $root = new_root();
        in_child(sub { extract($SMALL, $root); 1 });
    } 1 .. 64;
    my @failed = grep { $_->{error} } map { result_of($_) } @clients;
    is_deeply(\@failed, [], '64 clients at once');
    row(sprintf('64 extractions at once (%.1f s)', time() - $start), $failed[0] // {});

    my $count = $ENV{PVE_OCI_TEST_JOBS} // 100;
    my $patience = defined($ENV{PVE_OCI_TEST_JOBS}) ? 0 : 45;
    my ($before, @errors);
    $start = time();
    for my $n (1 .. 20 + $count) {
        my $root = new_root();
        my $result = try_extract($SMALL, $root);
        push @errors, $result->{error} if $result->{error};
        system('rm', '-r', $root);
        if ($patience && time() - $start > $patience && $n >= 40) {
            $count = $n - 20;
            last;
        }
        if ($n == 20) {
            wait_until(sub { $daemon->usage()->{processes} == 2 });
            $before = $daemon->usage();
        }
    }
    # the last worker is gone, the next spare is there, and is not being warmed at the moment: that
    # takes descriptors
    my $after;
    wait_until(sub {
        $after = $daemon->usage();
        return $after->{processes} == $before->{processes}
            && $after->{fds} <= $before->{fds} + 2;
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
                pop @mounted;
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
        my $socket = IO::Socket::UNIX->new(Peer => $daemon->{socket}) or die "connect: $!\n";
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
    cmp_ok(time() - $start, '<', 30, 'soon');
    row(sprintf('16 clients that never read (%.1f s)', time() - $start), $result);
    close($_) for @sockets;
    ok(
        wait_until(sub { !PVE::OCI::list_jobs({ socket => $daemon->{socket} })->@* }),
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
    cmp_ok(time() - $start, '<', 6, 'and does not wait for them');
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
        my ($reply, $ended) = $daemon->talk($bytes);
        like($reply, $pattern, $name);
        is($ended, $end // 'reply', "$name: $ended");
        my ($error) = $reply =~ /"error":"([^"]+)"/;
        diag(sprintf('%-44s | %s', "frame: $name", $error // $ended));
    }
    my ($reply, $ended) = $daemon->talk(qq({"method":"io.pve.oci.Li), 0.2);
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
    cmp_ok(time() - $start, '<', 25, 'the limit of hanging counts');
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
        wait_until(sub { !PVE::OCI::list_jobs({ socket => $daemon->{socket} })->@* }),
        'no job left'
    );
    serves_on('client killed');
};

subtest 'daemon killed' => sub {
    my $root = mount_root('size=64m');
    my $child = slow_extraction($root);
    my @workers = $daemon->descendants();
    $daemon->stop('KILL');
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
    $daemon->run();
    serves_on('daemon killed, and started again');
};

subtest 'storage' => sub {
    my $full = mount_root('size=1m');
    my $result = try_extract($LARGE, $full);
    is_error(
        'full file system (tmpfs of 1 MiB)', $result, 'io.pve.oci.EntryFailed',
        qr/ENOSPC/
    );
    nothing_left('full file system', $full);
    ok(umount_root($full), 'unmounted at once');

    my $inodes = mount_root('nr_inodes=20');
    is_error(
        'no inodes left (tmpfs of 20)', try_extract($LARGE, $inodes),
        'io.pve.oci.EntryFailed', qr/ENOSPC/
    );
    nothing_left('no inodes left', $inodes);
    umount_root($inodes);

    my $read_only = mount_root('ro');
    is_error(
        'read-only root directory', try_extract($SMALL, $read_only),
        'io.pve.oci.SystemError', qr/EROFS/
    );
    umount_root($read_only);

    my $gone = new_root();
    my $child = slow_extraction($gone);
    system('rm', '-rf', $gone);
    $result = result_of($child);
    is_error('root directory removed meanwhile', $result, 'io.pve.oci.EntryFailed', qr/ENOENT/);

    my $lost = mount_root('size=64m');
    $child = slow_extraction($lost);
    system('umount', '-l', $lost);
    @mounted = grep { $_ ne $lost } @mounted;
    $result = result_of($child);
    row('root directory unmounted lazily meanwhile', $result);
    nothing_left('unmounted lazily', $lost);
    serves_on('storage');
};

sub loop_file_system ($name, $mebibytes, @command) {
    my $image = "$DIRECTORY/$name.img";
    open(my $file, '>', $image) or die "open $image: $!\n";
    truncate($file, $mebibytes << 20) or die "truncate: $!\n";
    close($file);
    my ($make, @options) = @command;
    qx{which $make} or return;
    system($make, '-q', @options, $image) == 0 or return;
    chomp(my $device = `losetup --find --show $image 2>/dev/null`);
    return if !$device;
    return ($image, $device);
}

subtest 'quota' => sub {
    my ($image, $device) = loop_file_system('quota', 256, 'mkfs.btrfs');
    plan(skip_all => 'no loop device, or no btrfs-progs') if !$device;
    my $mount = eval { mount_root('noatime', '-t', 'btrfs', $device) };
    system('losetup', '-d', $device);
    plan(skip_all => "no btrfs in this kernel: $@") if !$mount;
    system(   "btrfs quota enable $mount && btrfs subvolume create $mount/root >/dev/null"
            . " && btrfs qgroup limit 2M $mount/root") == 0
        or plan(skip_all => 'no quota groups');
    my $root = "$mount/root";
    my $result = try_extract($LARGE, $root);
    is_error('quota of 2 MiB (btrfs)', $result, 'io.pve.oci.EntryFailed', qr/EDQUOT/);
    nothing_left('quota', $root);
    ok(umount_root($mount), 'unmounted at once');
};

# ext4 mounted with "grpid": what is made in a directory has the directory's group, whoever makes
# it.
subtest 'groups of a file system mounted with grpid' => sub {
    my ($image, $device) = loop_file_system('grpid', 64, 'mkfs.ext4', '-F');
    plan(skip_all => 'no loop device') if !$device;
    my $mount = mount_root('grpid', $device);
    system('losetup', '-d', $device);
    my @names = qw(file link fifo sub sub/implied sub/implied/file);
    my $archive = write_image(
        "$DIRECTORY/groups.tar", $CONFIG,
        join(
            '',
            entry('5', 'mail/', gid => 8), entry('0', 'mail/file', content => 'x'),
            entry('2', 'mail/link', link => 'file'), entry('6', 'mail/fifo'),
            entry('5', 'mail/sub/'), entry('0', 'mail/sub/implied/file'),
        ),
    );
    is(try_extract($archive, $mount)->{error}, undef, 'extracted');
    is((stat("$mount/mail"))[5], 100_008, 'the directory');
    is((lstat("$mount/mail/$_"))[5], 100_000, "mail/$_") for @names;
    ok(umount_root($mount), 'unmounted at once');
};

subtest 'input and output errors' => sub {
    my ($image, $device) = loop_file_system('errors', 64, 'mkfs.ext4', '-F');
    plan(skip_all => 'no loop device') if !$device;
    my $mount = mount_root('errors=continue', $device);
    system('losetup', '-d', $device);
    system('cp', $LARGE, "$mount/large.tar");
    system('umount', $mount);
    system('mount', '-o', 'loop,errors=continue', $image, $mount);
    my $root = new_root();
    my $child = slow_extraction($root, "$mount/large.tar");
    truncate($image, 3 << 20) or die "truncate: $!\n"; # reads of what is beyond are errors
    system('sh', '-c', 'echo 3 > /proc/sys/vm/drop_caches');
    my $result = result_of($child);
    is_error(
        'EIO while the archive is read', $result, 'io.pve.oci.SystemError',
        qr/layer 1.*pread.*EIO/
    );
    nothing_left('EIO', $root);
    system('umount', '-l', $mount);
    @mounted = grep { $_ ne $mount } @mounted;
    serves_on('EIO');
};

subtest 'archives' => sub {
    my $archive = "$DIRECTORY/changing.tar";
    system('cp', $LARGE, $archive);
    my $root = new_root();
    my $child = slow_extraction($root, $archive);
    truncate($archive, 3 << 20) or die "truncate: $!\n";
    is_error(
        'archive truncated while it is read', result_of($child),
        'io.pve.oci.MalformedArchive', qr/changing\.tar/
    );
    nothing_left('archive truncated', $root);

    system('cp', $LARGE, $archive);
    $child = slow_extraction($root, $archive);
    open(my $file, '+<:raw', $archive) or die "open: $!\n";
    seek($file, -s $archive <= 4 << 20 ? 0 : -(2 << 20), 2);
    print {$file} noise(1 << 20);
    close($file);
    my $result = result_of($child);
    row('archive overwritten while it is read', $result);
    like($result->{name}, qr/DigestMismatch|MalformedArchive/, 'archive overwritten');
    nothing_left('archive overwritten', $root);

    my $secret = "$DIRECTORY/secret.tar";
    system('cp', $SMALL, $secret);
    chown(12345, 12345, $secret);
    chmod(0600, $secret);
    $result = try_extract($secret, $root);
    row('archive of another user, mode 0600', $result);
    is($result->{error}, undef, 'archive that only its owner may read');
};

my $usage = $daemon->usage();
is($daemon->stop(), 0, 'the daemon ends well after all of it');
unlike($daemon->log_text(), qr/internal error|Exception/, 'its log has no fault of its own');

done_testing();
