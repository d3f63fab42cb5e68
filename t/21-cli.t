# The command pve-oci: exit codes, outputs, usage errors, what the tables make.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;
use Time::HiRes qw(time);

use FakeDaemon;
use PVE::OCI::Text;
use PVE::OCI::CLI::Progress;
use PVE::OCI::CLI::Verbs;

my $PROGRAM = "$FindBin::Bin/../bin/pve-oci";
my $DIRECTORY = tempdir(CLEANUP => 1);
delete $ENV{PVE_OCI_SOCKET};

sub slurp ($path) {
    open(my $handle, '<', $path) or die "$path: $!";
    local $/ = undef;
    return scalar(<$handle>) // "";
}

sub start_program (@arguments) {
    my $pid = fork() // die $!;
    if ($pid == 0) {
        chdir($DIRECTORY) or die $!;
        open(STDOUT, '>', "$DIRECTORY/out") or die $!;
        open(STDERR, '>', "$DIRECTORY/err") or die $!;
        open(STDIN, '<', '/dev/null') or die $!;
        exec($PROGRAM, @arguments) or POSIX::_exit(99);
    }
    return $pid;
}

sub run (@arguments) {
    waitpid(start_program(@arguments), 0);
    return ($? >> 8, slurp("$DIRECTORY/out"), slurp("$DIRECTORY/err"));
}

sub run_with ($script, @arguments) {
    my $daemon = FakeDaemon->start($script);
    my @got = run(@arguments, '--socket', $daemon->socket());
    return ($daemon, @got);
}

my $DONE = {
    result => {
        manifestDigest => 'sha256:' . 'a' x 64, configDigest => 'sha256:' . 'b' x 64,
        platform => { architecture => 'amd64', os => 'linux' }, entriesWritten => 3,
        bytesWritten => 4096, whiteoutsApplied => 1,
        warnings => [{ entryPath => 'dev/null', what => 'deviceNode', detail => 'file made' }],
        warningsCount => 1,
    },
    config => { Cmd => ['sh'], Env => ["PATH=/b\x{e4}n"] },
};

sub progress ($layer, $read) {
    return [
        'reply',
        {
            continues => JSON::true,
            parameters => {
                progress => {
                    phase => 'extracting', layerIndex => $layer, layersCount => 2,
                    bytesRead => $read,
                    bytesTotal => 2048, entriesWritten => 1, bytesWritten => 1,
                },
            },
        },
    ];
}

my @SCRIPT = (
    ['reply', { continues => JSON::true, parameters => { jobId => '5' } }],
    progress(0, 0), progress(0, 100), progress(1, 1024),
    ['reply', { parameters => $DONE }],
);

subtest 'extract in text' => sub {
    my ($daemon, $code, $out, $err) = run_with(\@SCRIPT, 'extract', 'image.tar', 'rootfs');
    is($code, 0, 'exit code');
    like($out, qr/^manifest +sha256:a{64}\n/, 'whole digest when not on a terminal');
    like($out, qr/^written +4\.0 KiB\n/m, 'size for people');
    is(
        $err,
        "layer 1/2 (0 B read, 1 entries so far)\nlayer 2/2 (1.0 KiB read, 1 entries so far)\n"
            . "pve-oci: extract: warning: entry dev/null: deviceNode: file made\n",
        'a line a layer, then the warnings',
    );
    my $parameters = $daemon->call()->{parameters};
    is($parameters->{archivePath}, "$DIRECTORY/image.tar", 'archive made absolute');
    is($parameters->{rootDirectory}, "$DIRECTORY/rootfs", 'rootfs made absolute');
    is($parameters->{uidMap}->[0]->{outside}, 100000, 'default map');
};

subtest 'extract as JSON' => sub {
    for my $options (['-j'], ['--output-format', 'json'], ['--output-format=json-pretty']) {
        my ($daemon, $code, $out, $err) = run_with(\@SCRIPT, 'extract', 'a', 'b', $options->@*);
        is($code, 0, 'exit code');
        is_deeply(decode_json($out), $DONE, "the reply's parameters with $options->[-1]");
        unlike($err, qr/layer/, 'no progress');
        is(($out =~ tr/\n//), 1, 'one line') if $options->[-1] !~ /pretty/;
    }
};

subtest 'extract, quietly' => sub {
    my ($daemon, $code, $out, $err) = run_with(\@SCRIPT, 'extract', '-q', 'a', 'b');
    is("$code|$out|$err", '0||', 'nothing at all');
};

subtest 'extract hands on its options' => sub {
    my ($daemon, $code) = run_with(
        \@SCRIPT, qw(extract --arch arm64 --variant v8 --reference latest --manifest sha256:1),
        qw(--max-bytes 10 --max-entries 20 --bwlimit 3 --uidmap 0:200000:10 --uidmap 10:5:1 a b),
    );
    is($code, 0, 'exit code');
    my $parameters = $daemon->call()->{parameters};
    is_deeply(
        $parameters->{selector},
        {
            architecture => 'arm64', variant => 'v8', referenceName => 'latest',
            manifestDigest => 'sha256:1',
        },
        'selector',
    );
    is_deeply(
        $parameters->{options},
        { maximumSize => 10, maximumEntries => 20, bandwidthLimit => 3072 },
        'limits',
    );
    my $map = [
        { inside => 0, outside => 200000, count => 10 },
        { inside => 10, outside => 5, count => 1 }
    ];
    is_deeply($parameters->{uidMap}, $map, 'user map');
    is_deeply($parameters->{gidMap}, $map, 'group map is the same');
    ($daemon) = run_with(\@SCRIPT, qw(extract --uidmap 0:1:2 --gidmap 0:3:4 a b));
    is($daemon->call()->{parameters}->{gidMap}->[0]->{outside}, 3, 'group map of its own');
    ($daemon) = run_with(\@SCRIPT, qw(extract --privileged a b));
    is_deeply($daemon->call()->{parameters}->{uidMap}, [], 'privileged');
};

my @USAGE = (
    [[], qr/a verb is missing/], [['frobnicate'], qr/unknown verb 'frobnicate'/],
    [['extract'], qr/extract: usage: pve-oci extract ARCHIVE ROOTFS/],
    [['extract', 'a'], qr/usage/],
    [['extract', 'a', 'b', 'c'], qr/usage/], [['extract', '', 'b'], qr/an argument is empty/],
    [['extract', '--bogus', 'a', 'b'], qr/unknown option: bogus/],
    [['extract', '--arch'], qr/option arch requires an argument/],
    [['detect', '--privileged', 'a'], qr/option --privileged is not one of this verb/],
    [['extract', '--uidmap', '0:1', 'a', 'b'], qr/'0:1' is not CONTAINER:HOST:COUNT/],
    [['extract', '--uidmap', '-1:1:1', 'a', 'b'], qr/is not CONTAINER:HOST:COUNT/],
    [['extract', '--gidmap', '0:1:1', 'a', 'b'], qr/--gidmap needs --uidmap/],
    [['extract', '--privileged', '--uidmap', '0:1:1', 'a', 'b'], qr/--privileged excludes/],
    [['extract', '--max-bytes', 'x', 'a', 'b'], qr/max_bytes is not a whole number: 'x'/],
    [
        ['detect', '--output-format', 'yaml', 'a'],
        qr/--output-format must be one of text, json, json-pretty/
    ],
    [['cancel'], qr/usage/],
    [['jobs', 'x'], qr/usage/],
    [['detect', '--socket', 'x y', 'a'], qr/socket path/],
);
for my $case (@USAGE) {
    my ($arguments, $expected) = $case->@*;
    my ($code, $out, $err) = run($arguments->@*);
    is("$code|$out", '2|', "usage error: @$arguments");
    like($err, qr/\Apve-oci: [^\n]*$expected[^\n]*\n\z/, '... told in one line');
}

my @ERRORS = (
    [
        'io.pve.oci.EntryFailed',
        { message => 'layer 1/1: mknodat: EPERM', errno => 1, errnoName => 'EPERM' }, 1
    ],
    ['io.pve.oci.NotAnOciArchive', { message => 'no' }, 1],
    ['io.pve.oci.SystemError', { message => 'open: EACCES', errno => 13 }, 77],
    ['io.pve.oci.SystemError', { message => 'open: ENOENT', errno => 2 }, 1],
    ['io.pve.oci.PermissionDenied', { message => 'uid 1000' }, 77],
    ['org.varlink.service.PermissionDenied', { message => 'uid 1000' }, 77],
    ['org.varlink.service.InvalidParameter', { parameter => 'uidMap' }, 2],
    ['io.pve.oci.InvalidArgument', { message => 'maps overlap', parameter => 'uidMap' }, 2],
    ['io.pve.oci.Cancelled', { message => 'cancelled' }, 1],
);
for my $case (@ERRORS) {
    my ($name, $parameters, $expected) = $case->@*;
    my ($daemon, $code, $out, $err) = run_with(
        [['reply', { error => $name, parameters => $parameters }]], '-j', 'extract', 'a',
        'b'
    );
    my $message = $parameters->{message} // "pve-ocid answered $name parameter=uidMap";
    is("$code|$out|$err", "$expected||pve-oci: extract: $message\n", "$name: exit code $expected");
}

subtest 'no daemon' => sub {
    my ($code, $out, $err) = run('info', '--socket', "$DIRECTORY/none");
    is($code, 69, 'exit code');
    is(
        $err,
        "pve-oci: info: cannot connect to pve-ocid at '$DIRECTORY/none':"
            . " No such file or directory\n",
        'line'
    );
    my $daemon;
    ($daemon, $code, $out, $err) = run_with([['raw', 'x']], 'info');
    is($code, 69, 'lost connection');
    like($err, qr/\Apve-oci: info: connection to pve-ocid lost: .*\n\z/, 'line');
};

for my $case (['INT', 130], ['TERM', 143]) {
    my ($signal, $expected) = $case->@*;
    subtest "SIG$signal" => sub {
        my $daemon = FakeDaemon->start([progress(0, 1), ['wait_eof']]);
        my $pid = start_program('extract', 'a', 'b', '--socket', $daemon->socket());
        ok($daemon->wait_for('call'), 'call arrived');
        Time::HiRes::sleep(0.2);
        my $start = time();
        kill($signal, $pid);
        waitpid($pid, 0);
        is($? >> 8, $expected, 'exit code');
        cmp_ok(time() - $start, '<', 1, 'soon');
        ok($daemon->wait_for('eof'), 'connection was closed');
        like(slurp("$DIRECTORY/err"), qr/^pve-oci: extract: interrupted\n\z/m, 'told');
    };
}

subtest 'detect' => sub {
    my ($daemon, $code, $out, $err) = run_with(
        [['reply', { parameters => { format => 'ociArchive', layoutVersion => '1.0.0' } }]],
        'detect', 'a'
    );
    is(
        "$code|$out|$err", "0|format          ociArchive\nlayout version  1.0.0\n|",
        'an OCI archive'
    );
    ($daemon, $code, $out) =
        run_with([['reply', { parameters => { format => 'tar' } }]], 'detect', '-j', 'a');
    is("$code|$out", "1|{\"format\":\"tar\"}\n", 'the answer is no');
};

subtest 'inspect' => sub {
    my $reply = {
        images => [], manifest => { digest => 'sha256:12', size => 1, mediaType => 'm' },
        platform => { os => 'linux', architecture => 'amd64' }, rawConfig => "{ \"a\":1}",
        layers => [{
            descriptor => { digest => 'sha256:34', size => 2048 }, compression => 'gzip',
            uncompressedSize => 4096,
        }],
        uncompressedSize => 4096,
        config => { Entrypoint => ['/bin/sh', '-c'], Env => ["A=\e[31m"] },
    };
    my $script = [['reply', { parameters => $reply }]];
    my ($daemon, $code, $out) = run_with($script, 'inspect', 'a');
    is($code, 0, 'exit code');
    like($out, qr/^entrypoint +\["\/bin\/sh","-c"\]\n/m, 'entrypoint');
    like($out, qr/^size extracted +4\.0 KiB\n/m, 'size after extraction');
    my $row = qr/sha256:34 +2\.0 KiB +gzip +4\.0 KiB\n/;
    like($out, qr/^LAYER +SIZE +COMPRESSION +EXTRACTED\n$row/m, 'layers');
    unlike($out, qr/\e/, 'no escape sequences out of the image');
    ($daemon, $code, $out) = run_with($script, 'inspect', '--noheader', 'a');
    unlike($out, qr/LAYER/, 'no titles');
    ($daemon, $code, $out) = run_with($script, 'inspect', '--config', 'a');
    is_deeply(decode_json($out), $reply->{config}, '--config');
    ($daemon, $code, $out) = run_with($script, 'inspect', '--raw', 'a');
    is($out, $reply->{rawConfig}, '--raw');
};

subtest 'jobs and cancel' => sub {
    my $job = {
        id => '1', method => 'm', startedUSec => 0, peerPid => 7,
        progress => { phase => 'queued' }
    };
    my ($daemon, $code, $out) =
        run_with([['reply', { parameters => { jobs => [$job] } }]], 'jobs');
    like($out, qr/^1 +m +7 +1970-01-01T00:00:00Z +queued\n/m, 'a row');
    $daemon = FakeDaemon->start([['reply', {}]], [['reply', {}]]);
    ($code, $out) = run('cancel', '1', '2', '--socket', $daemon->socket());
    is("$code|$out", '0|', 'cancel');
    is_deeply(
        [map { $_->{call}->{parameters}->{id} } $daemon->log_entries()], ['1', '2'],
        'both ids'
    );
};

subtest 'metrics' => sub {
    my $metrics = [
        {
            name => 'jobsStarted', kind => 'counter', value => 3, labels => { method => "a\"b" }
        },
        { name => 'jobs_running', kind => 'gauge', value => 1.5 },
    ];
    my ($daemon, $code, $out) =
        run_with([['reply', { parameters => { metrics => $metrics } }]], 'metrics', '--prometheus');
    is(
        $out,
        "# TYPE pve_oci_jobs_running gauge\npve_oci_jobs_running 1.5\n"
            . "# TYPE pve_oci_jobs_started_total counter\n"
            . "pve_oci_jobs_started_total{method=\"a\\\"b\"} 3\n",
        'Prometheus',
    );
};

subtest 'help, version and completion come from the tables' => sub {
    my ($code, $out) = run('help');
    is($code, 0, 'exit code of help');
    like($out, qr/^  \Q$_->{name}\E /m, "help names $_->{name}")
        for @PVE::OCI::CLI::Verbs::VERBS;
    for my $verb (@PVE::OCI::CLI::Verbs::VERBS) {
        ($code, $out) = run($verb->{name}, '--help');
        is($code, 0, "$verb->{name} --help");
        like($out, qr/--\Q$_\E\b/, "... names --$_")
            for PVE::OCI::CLI::Verbs::options_of($verb);
    }
    ($code, $out) = run('--version');
    like($out, qr/\Apve-oci \d+\.\d+\.\d+\n\z/, 'version');
    ($code, $out) = run('completion');
    open(my $bash, '|-', 'bash', '-n') or die $!;
    print {$bash} $out;
    ok(close($bash), 'completion is bash');
    my @unknown = grep { !$PVE::OCI::CLI::Verbs::OPTIONS->{$_} }
        map { PVE::OCI::CLI::Verbs::options_of($_) } @PVE::OCI::CLI::Verbs::VERBS;
    is_deeply(\@unknown, [], 'every option of a verb is in the table');
};

subtest 'standard input as archive' => sub {
    my ($daemon, $code) =
        run_with([['reply', { parameters => { format => 'ociArchive' } }]], 'detect', '-');
    is_deeply($daemon->call()->{descriptors}, ['/dev/null'], 'goes by descriptor');
};

subtest 'a full disk is an error' => sub {
    my $daemon = FakeDaemon->start([['reply', { parameters => { version => '1' } }]]);
    my $socket = $daemon->socket();
    my $err = qx($PROGRAM info --socket $socket 2>&1 >/dev/full);
    is($? >> 8, 1, 'exit code');
    is(
        $err, "pve-oci: info: cannot write to standard output: No space left on device\n",
        'line'
    );
};

subtest 'sizes and the bar' => sub {
    is(PVE::OCI::Text::size($_->[0]), $_->[1], "$_->[0] bytes")
        for [0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [1536 * 1024, '1.5 MiB'];
    my $progress = { phase => 'extracting', bytesRead => 1048576, bytesTotal => 4194304 };
    is(
        PVE::OCI::CLI::Progress::bar($progress, 2),
        'extracting [======                  ]  25%  1.0 MiB of 4.0 MiB  512.0 KiB/s  ETA 0:06',
        'bar with rate and rest',
    );
    is(PVE::OCI::CLI::Progress::bar({ phase => 'queued' }, 2), 'queued', 'nothing known yet');
    is(
        PVE::OCI::CLI::Progress::bar({ phase => "\e[1m", bytesTotal => [] }, 2), '?',
        'hostile progress'
    );
};

done_testing();
