# PVE::OCI against a daemon that plays scripts: what is sent, what comes back, how a call is ended.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use ClientTest qw($ARCHIVE $CONFIG $DIRECTORY $DONE $RESULT $ROOTFS extract);
use FakeDaemon;
use PVE::OCI;

open(my $archive_handle, '+>', $ARCHIVE) or die $!;

subtest 'extraction sends default map, options and paths' => sub {
    my ($daemon, $error, $config, $result) = extract([$DONE]);
    is($error, '', 'no error');
    is_deeply($config, $CONFIG, 'config');
    is_deeply($result, $RESULT, 'result in list context');
    my $call = $daemon->call();
    is($call->{method}, 'io.pve.oci.ParseAndExtractImage', 'method');
    ok($call->{more}, 'more');
    my $range = [{ inside => 0, outside => 100000, count => 65536 }];
    is_deeply(
        $call->{parameters},
        {
            archivePath => $ARCHIVE, rootDirectory => $ROOTFS, options => {},
            uidMap => $range, gidMap => $range,
        },
        'parameters',
    );
    is(PVE::OCI::last_error(), undef, 'no last error');
};

subtest 'options become fields of the interface' => sub {
    my $daemon = FakeDaemon->start([$DONE]);
    my $config = PVE::OCI::parse_and_extract_image(
        $ARCHIVE, $ROOTFS, 'arm64',
        {
            socket => $daemon->socket(), bwlimit => '10', max_bytes => '1000', max_entries => 7,
            reference_name => 'latest', manifest_digest => 'sha256:00', variant => 'v8',
            id_map =>
                [['u', '0', '200000', '1000'], ['u', '1000', '1000', '1'], ['g', '0', '5', '6']],
        },
    );
    is_deeply($config, $CONFIG, 'only the config in scalar context');
    my $parameters = $daemon->call()->{parameters};
    is_deeply(
        $parameters->{options},
        { bandwidthLimit => 10240, maximumSize => 1000, maximumEntries => 7 },
        'options',
    );
    is_deeply(
        $parameters->{selector},
        {
            architecture => 'arm64', referenceName => 'latest', manifestDigest => 'sha256:00',
            variant => 'v8',
        },
        'selector',
    );
    is(
        JSON->new->canonical->encode([$parameters->@{qw(uidMap gidMap)}]),
        '[[{"count":1000,"inside":0,"outside":200000},{"count":1,"inside":1000,"outside":1000}],'
            . '[{"count":6,"inside":0,"outside":5}]]',
        'maps, as numbers',
    );
};

subtest 'an empty map means privileged' => sub {
    my ($daemon, $error) = extract([$DONE], { id_map => [] });
    is($error, '', 'no error');
    is_deeply([$daemon->call()->{parameters}->@{qw(uidMap gidMap)}], [[], []], 'empty lists');
};

subtest 'handles go by descriptor' => sub {
    opendir(my $directory, $ROOTFS) or die $!;
    my ($daemon, $error) = extract([$DONE], {}, $archive_handle, $directory);
    is($error, '', 'no error');
    my $call = $daemon->call();
    is_deeply($call->{descriptors}, [$ARCHIVE, $ROOTFS], 'descriptors arrived');
    is($call->{parameters}->{archiveFileDescriptor}, 0, 'index of the archive');
    is($call->{parameters}->{rootDirectoryFileDescriptor}, 1, 'index of the directory');
    ok(!exists($call->{parameters}->{archivePath}), 'no path');
    ($daemon, $error) = extract([$DONE], {}, fileno($archive_handle));
    is_deeply($daemon->call()->{descriptors}, [$ARCHIVE], 'a number is a descriptor');
};

subtest 'a path that is no UTF-8 goes by descriptor' => sub {
    my $path = "$DIRECTORY/\xff.tar";
    open(my $handle, '>', $path) or die $!;
    my ($daemon, $error) = extract([$DONE], {}, $path);
    is($error, '', 'no error');
    is($daemon->call()->{descriptors}->[0], $path, 'opened by the client');
    ($daemon, $error) = extract([$DONE], {}, "$DIRECTORY/\xc3\xa9.tar");
    is(
        $daemon->call()->{parameters}->{archivePath}, "$DIRECTORY/\xe9.tar",
        'UTF-8 as characters'
    );
};

subtest 'progress reaches the callback' => sub {
    my (@progress, @jobs, @warnings);
    my $warning = {
        layerDigest => 'sha256:1', entryPath => 'dev/null', what => 'deviceNode',
        detail => 'made a file',
    };
    my ($daemon, $error, $config) = extract(
        [
            ['reply', { continues => JSON::true, parameters => { jobId => '7' } }],
            [
                'reply',
                {
                    continues => JSON::true,
                    parameters => { progress => { phase => 'parsing' } }
                }
            ],
            ['raw', '{"continues":true,"parameters":{"progress":{"pha'],
            ['sleep', 0.1],
            ['raw', 'se":"extracting","bytesRead":5}}}' . "\0" . '{"continues":true}' . "\0"],
            [
                'reply',
                {
                    parameters => {
                        config => {},
                        result => { $RESULT->%*, warnings => [$warning], warningsCount => 3 },
                    },
                }
            ],
        ],
        {
            progress => sub ($p) { push @progress, $p },
            on_job => sub ($id) { push @jobs, $id },
            on_warning => sub ($line, $w) { push @warnings, $line },
        },
    );
    is($error, '', 'no error');
    is_deeply(
        \@progress, [{ phase => 'parsing' }, { phase => 'extracting', bytesRead => 5 }],
        'progress'
    );
    is_deeply(\@jobs, ['7'], 'job');
    is_deeply(
        \@warnings,
        ['entry dev/null: deviceNode: made a file', '2 more warnings of this kind'],
        'warnings',
    );
};

subtest 'a callback that dies ends the job' => sub {
    my ($daemon, $error) = extract(
        [
            ['reply', { continues => JSON::true, parameters => { progress => {} } }],
            ['wait_eof'],
        ],
        { progress => sub ($p) { die "enough\n" } },
    );
    is($error, "enough\n", 'its exception arrives');
    ok($daemon->wait_for('eof'), 'the daemon saw the end of the connection');
    is(ref($error), '', 'it is no object of ours');
    is(PVE::OCI::last_error(), undef, 'not an error of the client');
};

subtest 'the configuration comes before the extraction, and may end it' => sub {
    my $early =
        ['reply', { continues => JSON::true, parameters => { config => { User => 'a' } } }];
    my @seen;
    my ($daemon, $error) =
        extract([$early, $DONE], { on_config => sub ($c) { push @seen, $c } });
    is($error, '', 'no error');
    is_deeply(\@seen, [{ User => 'a' }], 'the callback got it, once');
    ($daemon, $error) =
        extract([$early, ['wait_eof']], { on_config => sub ($c) { die "not this one\n" } });
    is($error, "not this one\n", 'an exception of the callback');
    ok($daemon->wait_for('eof'), '... ends the job');

    my $hostile = { continues => JSON::true, parameters => { config => { User => "a\nb" } } };
    ($daemon, $error) = extract([['reply', $hostile], ['wait_eof']]);
    like(
        $error, qr/User holds a control character/,
        'what check_config refuses is refused at once'
    );
    ok($daemon->wait_for('eof'), '... by ending the sending: the daemon may still clean up');
    $hostile->{parameters}->{config} = [];
    ($daemon, $error) = extract([['reply', $hostile], ['wait_eof']]);
    like($error, qr/the image configuration is not an object/, 'not an object');
};

# Sends signals to this process after these seconds, one after the other.
sub start_killer (@delays) {
    my $killer = fork() // die $!;
    return $killer if $killer;
    for my $delay (@delays) {
        Time::HiRes::sleep($delay);
        kill('TERM', getppid());
    }
    POSIX::_exit(0);
}

# Extracts until signals come, with handlers as a task of PVE has them. Returns the error, how long
# it took, what was said to on_abort.
sub extract_until_killed ($step, @delays) {
    local $SIG{TERM} = sub { die "received interrupt\n" };
    my @said;
    my $daemon = FakeDaemon->start([$step]);
    my $killer = start_killer(@delays);
    my $start = time();
    eval {
        my $options =
            { socket => $daemon->socket(), on_abort => sub ($line) { push @said, $line } };
        PVE::OCI::parse_and_extract_image($ARCHIVE, $ROOTFS, undef, $options);
    };
    my ($error, $took) = ($@, time() - $start);
    waitpid($killer, 0);
    ok($daemon->wait_for('eof'), 'the daemon saw the end of the connection');
    return ($error, $took, @said);
}

subtest 'a signal handler that dies ends the job' => sub {
    my ($error, $took, @said) = extract_until_killed(['wait_eof'], 0.3);
    is($error, "received interrupt\n", 'its exception arrives');
    is_deeply(\@said, [], 'the daemon has hung up, nothing is left');
};

subtest 'the daemon is waited for as long as it shows signs of life' => sub {
    local $PVE::OCI::Varlink::ABORT_SILENCE = 1;
    my ($error, $took, @said) = extract_until_killed(['clean', 3], 0.3);
    is($error, "received interrupt\n", 'its exception arrives');
    cmp_ok($took, '>', 2.8, 'after the daemon has cleaned up');
    is_deeply(\@said, [], 'nothing is left');
};

subtest 'a silent daemon is not waited for without end' => sub {
    local $PVE::OCI::Varlink::ABORT_SILENCE = 1;
    my ($error, $took, @said) = extract_until_killed(['stall'], 0.3);
    is($error, "received interrupt\n", 'its exception arrives');
    cmp_ok($took, '<', 20, "not for ever ($took s)");
    is_deeply(
        \@said, ['pve-ocid was silent for 1 s: it may still be removing files of the image'],
        'said what is left',
    );
};

subtest 'signals at the same time are one' => sub {
    my ($error, $took, @said) = extract_until_killed(['clean', 2], 0.3, 0.02, 0.2, 0.5);
    is($error, "received interrupt\n", 'its exception arrives');
    cmp_ok($took, '>', 1.8, 'after the daemon has cleaned up');
    is_deeply(\@said, [], 'nothing is left');
};

subtest 'a later signal ends the waiting' => sub {
    my ($error, $took, @said) = extract_until_killed(['clean', 30], 0.3, 2.5);
    is($error, "received interrupt\n", 'its exception arrives');
    cmp_ok($took, '<', 15, 'long before the daemon is done');
    is_deeply(
        \@said, ['pve-ocid was not waited for: it may still be removing files of the image'],
        'said what is left',
    );
};

subtest 'other signals do not disturb' => sub {
    my $count = 0;
    local $SIG{USR1} = sub { $count++ };
    my $sender = fork() // die $!;
    if ($sender == 0) {
        for (1 .. 20) { Time::HiRes::sleep(0.02); kill('USR1', getppid()) }
        POSIX::_exit(0);
    }
    my ($daemon, $error, $config) = extract([['sleep', 0.5], $DONE]);
    waitpid($sender, 0);
    is($error, '', 'no error');
    cmp_ok($count, '>', 0, 'signals came');
};

subtest 'no daemon' => sub {
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    eval { PVE::OCI::detect_archive($ARCHIVE, { mode => 'daemon' }) };
    is(
        $@, "cannot connect to pve-ocid at '$DIRECTORY/none': No such file or directory\n",
        'message'
    );
    is($@->{name}, 'ConnectFailed', 'name');
    is($@->{parameters}->{errnoName}, 'ENOENT', 'errno');
};

subtest 'the other methods' => sub {
    my $job = { id => '1', method => 'VerifyImage' };
    my $metric = { name => 'jobs', kind => 'counter', value => 1 };
    my $inspected = { images => [], config => { Cmd => ['x'] }, layers => [] };
    my @cases = (
        [
            'DetectArchive', sub ($o) { PVE::OCI::detect_archive($ARCHIVE, $o) },
            { format => 'tar' }, { format => 'tar' }
        ],
        [
            'InspectImage', sub ($o) { PVE::OCI::inspect_image($ARCHIVE, $o) }, $inspected,
            $inspected
        ],
        [
            'VerifyImage', sub ($o) { PVE::OCI::verify_image($ARCHIVE, $o) },
            { verified => [] }, { verified => [] }
        ],
        ['ListJobs', sub ($o) { PVE::OCI::list_jobs($o) }, { jobs => [$job] }, [$job]],
        ['ListJobs', sub ($o) { PVE::OCI::list_jobs($o) }, { jobs => [] }, []],
        ['CancelJob', sub ($o) { PVE::OCI::cancel_job(12, $o) // 'nothing' }, {}, 'nothing'],
        [
            'GetMetrics', sub ($o) { PVE::OCI::get_metrics($o) }, { metrics => [$metric] },
            [$metric]
        ],
    );
    for my $case (@cases) {
        my ($method, $code, $reply, $expected) = $case->@*;
        my $daemon = FakeDaemon->start([['reply', { parameters => $reply }]]);
        is_deeply($code->({ socket => $daemon->socket() }), $expected, "$method: value");
        is($daemon->call()->{method}, "io.pve.oci.$method", "$method: name");
    }
    my $daemon = FakeDaemon->start([['reply', { parameters => { version => '1' } }]]);
    is_deeply(
        PVE::OCI::get_info({ socket => $daemon->socket() }), { version => '1' },
        'GetInfo'
    );
    is($daemon->call()->{method}, 'org.varlink.service.GetInfo', 'GetInfo: name');
};

subtest 'other users pass descriptors' => sub {
    plan(skip_all => 'needs root') if $> != 0;
    my $daemon = FakeDaemon->start([['reply', { parameters => { format => 'tar' } }]]);
    chmod(0755, $DIRECTORY, $daemon->{directory});
    chmod(0666, $daemon->socket());
    chmod(0644, $ARCHIVE);
    {
        local $> = 65534;
        PVE::OCI::detect_archive($ARCHIVE, { socket => $daemon->socket() });
    }
    is_deeply($daemon->call()->{descriptors}, [$ARCHIVE], 'descriptor');
    chmod(0600, $ARCHIVE);
    {
        local $> = 65534;
        eval { PVE::OCI::detect_archive($ARCHIVE, { socket => $daemon->socket() }) };
    }
    is(
        $@, "cannot open '$ARCHIVE': Permission denied\n",
        'an archive that the caller may not read'
    );
};

subtest 'nothing stays open' => sub {
    my $count = sub { my @fds = glob("/proc/$$/fd/*"); scalar(@fds) };
    my $before = $count->();
    extract([$DONE]) for 1 .. 3;
    extract([['raw', 'x']]) for 1 .. 3;
    is($count->(), $before, 'as many descriptors as before');
};

done_testing();
