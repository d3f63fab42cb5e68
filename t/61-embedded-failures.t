#!/usr/bin/perl
# The embedded engine when something goes wrong: its errors are the daemon's, it ends in the middle
# of the work, it leaves nothing behind. PVE_OCI_TEST_LEAK_COUNT: how many extractions the leak test
# makes (40).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use PVE::LXC::OCI::Update;
use PVE::OCI;
use PVE::OCI::JVM;
use PVE::OCI::RootUpdate;
use PVE::OCI::Session;

use EmbeddedTest qw(
    $CONFIG $DIRECTORY $IMAGE $SLOW entries_of extract new_root open_fds owner_of plan_embedded
    slurp start_slow
);
use TestSupport qw(at_most home process_status root wait_until);

plan_embedded();

my sub start_daemon() {
    my $socket = "$DIRECTORY/socket";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>', "$DIRECTORY/log") or POSIX::_exit(9);
        exec(root() . '/bin/pve-ocid', '--socket', $socket) or POSIX::_exit(9);
    }
    return ($pid, $socket) if wait_until(sub {
        eval { PVE::OCI::get_info({ socket => $socket }) }
    });
    kill KILL => $pid;
    waitpid($pid, 0);
    return;
}

subtest 'errors are those of the daemon' => sub {
    my ($pid, $socket) = start_daemon();
    plan(skip_all => 'the daemon does not start') if !$pid;
    POSIX::mkfifo("$DIRECTORY/fifo", 0644) or die $!;
    my $bad = slurp($IMAGE);
    my $at = index($bad, 'blobs/') + 512;
    substr($bad, $at, 1) ^.= "\1";
    open(my $file, '>:raw', "$DIRECTORY/bad.tar") or die $!;
    print $file $bad;
    close($file);
    my $full = new_root();
    open($file, '>', "$full/a") or die $!;
    my @map = (['u', '0', '100000', '65536'], ['g', '0', '100000', '65536']);
    my @cases = (
        ['no archive', "$DIRECTORY/nothing"], ['a fifo', "$DIRECTORY/fifo"],
        ['no archive of any kind', $0],
        ['a damaged blob', "$DIRECTORY/bad.tar"],
        ['no rootfs', $IMAGE, rootdir => "$DIRECTORY/nothing"],
        ['a file as rootfs', $IMAGE, rootdir => $IMAGE],
        ['a full rootfs', $IMAGE, rootdir => $full],
        ['the root directory', $IMAGE, rootdir => '/'], ['the home', $IMAGE, rootdir => home()],
        ['host root mapped', $IMAGE, id_map => [['u', 0, 0, 1], ['g', 0, 0, 1]]],
        ['ids of others', $IMAGE, id_map => [['u', 0, 1000, 1], ['g', 0, 1000, 1]]],
        ['ids that overlap', $IMAGE, id_map => [@map, ['u', 5, 100010, 5]]],
        ['no gids', $IMAGE, id_map => [$map[0]]],
        ['a small map', $IMAGE, id_map => [map { [$_, 0, 100000, 3] } qw(u g)]],
        ['another architecture', $IMAGE, architecture => 's390x'],
        ['too many bytes', $IMAGE, max_bytes => 3],
        ['a proc file', '/proc/self/status'],
    );
    for my $case (@cases) {
        my ($name, $archive, %options) = $case->@*;
        my $rootdir = delete($options{rootdir}) // new_root();
        my @outcomes = map {
            eval {
                PVE::OCI::extract_image(
                    $archive, $rootdir,
                    { %options, mode => $_, socket => $socket }
                );
            };
            { text => $@ =~ s/pid \d+//r, error => { $@->%* } }
        } qw(daemon embedded);
        is($outcomes[1]->{text}, $outcomes[0]->{text}, $name);
        is_deeply($outcomes[1]->{error}, $outcomes[0]->{error}, "$name: parameters");
    }
    kill TERM => $pid;
    waitpid($pid, 0);
};

subtest 'an abort' => sub {
    my ($pid, $supervisor, $engine, $rootdir, $words) = start_slow();
    my $start = time();
    kill TERM => $pid;
    waitpid($pid, 0);
    note(sprintf('%.3f s from SIGTERM to the end', time() - $start));
    is(slurp($words), "received interrupt\n", 'the handler\'s own exception');
    is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
    is(owner_of($rootdir), '0:0', 'so is the owner');
    ok(!process_status($engine) && !process_status($supervisor), 'no process is left');
};

subtest 'death of the engine' => sub {
    for my $victim (1, 2) {
        my @slow = start_slow();
        my ($pid, $rootdir, $words) = @slow[0, 3, 4];
        kill KILL => $slow[$victim];
        waitpid($pid, 0);
        is(slurp($words), "worker was killed by SIGKILL\n", 'told in the daemon\'s words');
        is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
        ok(
            wait_until(sub { !process_status($slow[2]) && !process_status($slow[1]) }),
            'no process is left'
        );
    }
};

# As the daemon: the kernel may kill the engine that cleans as well.
subtest 'death of the engine that cleans' => sub {
    for my $case ([5, [], ''], [6, ['file1'], 'root directory not cleaned']) {
        my ($deaths, $left, $words) = $case->@*;
        my ($rootdir, $starts, $said) = (new_root(), 0, '');
        no warnings qw(redefine); ## no critic (ProhibitNoWarnings): the real one is called
        my $start = \&PVE::OCI::JVM::start;
        local *PVE::OCI::JVM::start = sub {
            my $pid = $start->(@_);
            kill KILL => $pid if $starts++ && $starts <= $deaths + 1;
            return $pid;
        };
        local $SIG{__WARN__} = sub ($line) { $said .= $line };
        eval {
            PVE::OCI::parse_and_extract_image(
                $SLOW, $rootdir, undef,
                {
                    bwlimit => 500,
                    progress => sub { die "enough\n" if entries_of($rootdir)->@* }
                }
            );
        };
        is($@, "enough\n", "$deaths deaths: the failure");
        is_deeply([grep { $_ eq 'file1' } entries_of($rootdir)->@*], $left, '... what is left');
        like($said, qr/$words/, '... what is said');
        is($starts, $deaths < 6 ? $deaths + 2 : 7, '... engines');
        is(owner_of($rootdir), '0:0', '... the owner is as it was');
    }
};

subtest 'an exception of a callback' => sub {
    my $rootdir = new_root();
    eval {
        PVE::OCI::parse_and_extract_image(
            $SLOW, $rootdir, undef,
            { bwlimit => 500, progress => sub { die { code => 7 } } }
        );
    };
    is_deeply($@, { code => 7 }, 'reaches the caller as it is');
    is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
    is(PVE::OCI::last_error(), undef, 'it is no error of ours');
};

subtest 'the configuration is known before the extraction' => sub {
    my $rootdir = new_root();
    my $found;
    eval {
        PVE::OCI::parse_and_extract_image(
            $IMAGE, $rootdir, undef,
            {
                on_config => sub ($config) {
                    $found = $config;
                    die "not this one\n";
                }
            }
        );
    };
    is($@, "not this one\n", 'its exception reaches the caller');
    is_deeply($found, $CONFIG, 'the image\'s');
    is_deeply(entries_of($rootdir), [], 'nothing is left');
    is(owner_of($rootdir), '0:0', 'the owner is as it was');
};

subtest 'SIGCHLD ignored, or reaped by others' => sub {
    for my $handler ('IGNORE', sub { 1 while waitpid(-1, POSIX::WNOHANG()) > 0 }) {
        local $SIG{CHLD} = $handler;
        is_deeply(extract(new_root()), $CONFIG, 'extracted');
        eval { PVE::OCI::detect_archive("$DIRECTORY/nothing") };
        like($@, qr/No such file/, 'an error');
    }
};

subtest 'nothing is left after many' => sub {
    my $count = $ENV{PVE_OCI_TEST_LEAK_COUNT} // 40;
    my $memory = sub () { process_status($$)->{VmRSS} =~ /(\d+)/ ? $1 : 0 };
    extract(new_root()) for 1 .. 3;
    my ($fds, $size, $start) = (open_fds(), $memory->(), time());
    extract(new_root()) for 1 .. $count;
    note(sprintf(
        '%d extractions, %.3f s each, %d KiB more', $count, (time() - $start) / $count,
        $memory->() - $size
    ));
    is(open_fds(), $fds, 'descriptors');
    is(waitpid(-1, POSIX::WNOHANG()), -1, 'children');
    cmp_ok($memory->() - $size, '<', 2048, 'memory, KiB');
};

# What an engine that was taken over could send or do; a child of the test's in its place.
my sub with_fake_engine ($engine, $code) {
    no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
    local *PVE::OCI::JVM::start = sub ($settings, $connection, $log, $owner) {
        my $pid = fork() // return -1;
        return $pid if $pid;
        open(my $socket, '+<&=', $connection) or POSIX::_exit(98);
        sysread($socket, my $request, 65536);
        $engine->($socket);
        POSIX::_exit(0);
    };
    return $code->();
}

my sub send_all ($socket, $bytes) {
    my $sent = 0;
    while ($sent < length($bytes)) {
        $sent += syswrite($socket, $bytes, length($bytes) - $sent, $sent) // return;
    }
    return;
}

my $COUNTERS = join(',', map { qq("$_":0) } qw(bytesRead bytesTotal entriesWritten bytesWritten));

subtest 'an engine that was taken over' => sub {
    my $detect = sub () {
        eval { PVE::OCI::detect_archive($IMAGE, { mode => 'embedded' }) };
        $@;
    };
    my $frame = '{"parameters":{"format":[' . join(',', ('[]') x 5_000_000) . ']}}' . "\0";
    my $peak = sub () { process_status($$)->{VmHWM} =~ /(\d+)/ ? $1 >> 10 : 0 };
    my $before = $peak->();
    my $error = with_fake_engine(sub ($socket) { send_all($socket, $frame) }, $detect);
    is(
        $error, "worker sent an invalid reply: a reply of more than 400000 values\n",
        'many values'
    );
    cmp_ok($peak->() - $before, '<', 150, 'MiB more, of 15 that were sent');

    my @warnings;
    local $SIG{__WARN__} = sub ($line) { push @warnings, $line };
    my $log =
        '{"parameters":{"log":{"level":"info","message":"a line"}},"continues":true}' . "\0";
    $error = with_fake_engine(sub ($socket) { send_all($socket, $log x 20_000) }, $detect);
    is(scalar(@warnings), 100, 'many lines of the log: so many are shown');
    is($error, "worker sends more than 100 events a second\n", 'and then it is ended');

    my ($progress, $heard) =
        (qq({"parameters":{"progress":{"phase":"parsing",$COUNTERS}},"continues":true}), 0);
    $error = with_fake_engine(
        sub ($socket) { send_all($socket, "$progress\0" x 20_000) },

        sub () {
            my $options = { mode => 'embedded', progress => sub { $heard++ } };
            eval { PVE::OCI::verify_image($IMAGE, $options) };
            $@;
        },
    );
    is($error, "worker sends more than 100 events a second\n", 'much progress');
    cmp_ok($heard, '<', 19_000, 'the caller hears of little of it');

    no warnings qw(once); ## no critic (ProhibitNoWarnings): a module's variable
    local $PVE::OCI::Embedded::END_PATIENCE = 1;
    my $start = time();
    $error = with_fake_engine(
        sub ($socket) {
            send_all($socket, "no frame\0");
            sleep(30);
        },
        $detect
    );
    cmp_ok(time() - $start, '<', at_most(5), 'one that does not end is not waited for');
    like(
        $error, qr/\Aworker sent an invalid reply: a reply is not JSON/,
        'and the error is told'
    );
};

subtest 'an engine that says it is done, without a result' => sub {
    my ($rootdir, $starts) = (new_root(), 0);
    my $start = \&PVE::OCI::JVM::start;
    my $extract = sub () {
        my $fake = \&PVE::OCI::JVM::start;
        no warnings qw(redefine); ## no critic (ProhibitNoWarnings): the second one is real
        local *PVE::OCI::JVM::start = sub (@arguments) {
            return ($starts++ ? $start : $fake)->(@arguments);
        };
        eval { PVE::OCI::extract_image($IMAGE, $rootdir, { mode => 'embedded' }) };
        return $@;
    };
    my $engine = sub ($socket) {
        my $existing = '[{"path":"","isDirectory":true}]';
        send_all($socket, qq({"parameters":{"existing":$existing},"continues":true}\0));
        mkdir("$rootdir/left") and send_all($socket, qq({"parameters":{}}\0));
    };
    my $error = with_fake_engine($engine, $extract);
    is($error, "worker sent an invalid reply: no result\n", 'is not believed');
    is_deeply(entries_of($rootdir), [], 'what it made is removed');
    is(owner_of($rootdir), '0:0', 'the owner is as it was');
    is($starts, 2, 'by another engine');
};

subtest 'an engine of several calls' => sub {
    no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
    my $start = \&PVE::OCI::JVM::start;
    my @engines;
    local *PVE::OCI::JVM::start = sub (@arguments) {
        push @engines, $start->(@arguments);
        return $engines[-1];
    };
    my $rootdir = new_root();
    my $session = PVE::OCI::Session->new();
    my %options = (mode => 'embedded', session => $session);
    my $compare = sub { PVE::OCI::RootUpdate::compare_root_directory($rootdir, \%options) };
    PVE::OCI::extract_image($IMAGE, $rootdir, { %options, record => 1 });
    is($compare->()->{comparison}->{changed}, 0, 'compared');
    is(scalar(@engines), 1, 'by the engine that has extracted');
    is(
        system("ls -l /proc/$engines[0]/fd | grep -q $rootdir"), 256,
        'which holds nothing open'
    );
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        $session->DESTROY();
        POSIX::_exit(0);
    }
    waitpid($pid, 0);
    $compare->();
    is(scalar(@engines), 1, 'a child that ends takes nothing away');
    my $map = [map { [$_, 0, 100000, 60000] } qw(u g)];
    my $other = new_root();
    PVE::OCI::extract_image($IMAGE, $other, { %options, id_map => $map });
    is(scalar(@engines), 2, 'other IDs need another one');
    ok(!kill(0 => $engines[0]), 'and the first is gone');
    unlink("$rootdir/.pve.oci.mtree.zst") or die $!;
    eval { $compare->() };
    like($@, qr/no record/, 'an error');
    ok(!kill(0 => $engines[-1]), 'ends the engine');
    eval { $compare->() };
    is(scalar(@engines), 4, 'the next call has another one');
    PVE::OCI::RootUpdate::apply_update('record', $rootdir, \%options);
    kill(KILL => $engines[-1]);
    eval { $compare->() };
    like($@, qr/worker was killed by SIGKILL/, 'one that was killed between two calls');
    is($compare->()->{comparison}->{changed}, 0, 'and the call after that');
    $session->end();
    ok(!kill(0 => $engines[-1]), 'nothing is left');
    PVE::LXC::OCI::Update::on_rootfs(
        'update', $rootdir,
        { mode => 'embedded', archive => $IMAGE }
    );
    is(scalar(@engines), 7, 'an update starts one');
    PVE::LXC::OCI::Update::on_rootfs('rollback', $rootdir, { mode => 'embedded' });
    is(scalar(@engines), 8, 'so does a rollback');
    ok(!kill(0 => $engines[-1]), 'nothing is left');
};

done_testing();
