# The command pve-oci: extractions, usage errors, exit codes, what it says about errors and signals.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use Test::More;
use Time::HiRes qw(time);

use CliTest qw($DIRECTORY run run_with slurp start_program);
use FakeDaemon;

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
        "layer 1/2: 0 B of 2.0 KiB read (0%), 1 entry\n"
            . "layer 2/2: 1.0 KiB of 2.0 KiB read (50%), 1 entry\n"
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
    ($daemon) = run_with(
        \@SCRIPT, qw(extract --max-bytes 3G --bwlimit 2M --max-entries 5 a b),
    );
    is_deeply(
        $daemon->call()->{parameters}->{options},
        { maximumSize => 3 << 30, maximumEntries => 5, bandwidthLimit => 2 << 20 },
        'limits with K, M, G or T',
    );
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
    [['extract', '--bogus', 'a', 'b'], qr/unknown option: --bogus$/],
    [['extract', '-x', 'a', 'b'], qr/unknown option: -x$/],
    [['extract', '--arch'], qr/option --arch requires an argument$/],
    [['extract', '--json=1', 'a', 'b'], qr/option --json does not take an argument$/],
    [['detect', '--privileged', 'a'], qr/option --privileged is not one of this verb/],
    [['extract', '--uidmap', '0:1', 'a', 'b'], qr/--uidmap: '0:1' is not CONTAINER:HOST:COUNT/],
    [['extract', '--uidmap', '-1:1:1', 'a', 'b'], qr/--uidmap: .* is not CONTAINER:HOST:COUNT/],
    [
        ['extract', '--uidmap', '0:1:1', '--gidmap', '0:1', 'a', 'b'],
        qr/--gidmap: '0:1' is not CONTAINER:HOST:COUNT/
    ],
    [['extract', '--gidmap', '0:1:1', 'a', 'b'], qr/--gidmap needs --uidmap/],
    [['extract', '--privileged', '--uidmap', '0:1:1', 'a', 'b'], qr/--privileged excludes/],
    [
        ['extract', '--max-bytes', 'x', 'a', 'b'],
        qr/extract: --max-bytes: 'x' is not a whole number with K, M, G or T/
    ],
    [['extract', '--max-bytes', '1GB', 'a', 'b'], qr/--max-bytes: '1GB' is not/],
    [['extract', '--bwlimit', '-1', 'a', 'b'], qr/--bwlimit: '-1' is not/],
    [
        ['extract', '--max-entries', '1K', 'a', 'b'],
        qr/--max-entries: '1K' is not a whole number$/
    ],
    [['update', '--max-bytes', 'x', 'a', 'b'], qr/update: --max-bytes: 'x' is not/],
    [['diff', '--uidmap', 'x', 'a'], qr/diff: --uidmap: 'x' is not/],
    [['rollback', '--gidmap', '0:1:1', 'a'], qr/rollback: --gidmap needs --uidmap/],
    [['verify', '--daemon', '--embedded', 'a'], qr/verify: --daemon excludes --embedded/],
    [['inspect', '--raw', '--config', 'a'], qr/--raw excludes --config/],
    [['help', '--socket', '/x', 'frobnicate'], qr/unknown verb 'frobnicate'/],
    [['completion', '--socket', '/x'], qr/option --socket is not one of this verb/],
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

subtest 'an ID map that is not allowed' => sub {
    # root's ranges as long as the file has no line for root would no longer be its after that
    my %advice = (
        "alice:1:1\nroot:300000:65536\n" => 'the line root:200000:65536',
        "alice:1:1\n" => 'the lines root:100000:65536 and root:200000:65536',
    );
    for my $content (sort keys %advice) {
        my $file = "$DIRECTORY/subuid";
        open(my $handle, '>', $file) or die "open: $!\n";
        print {$handle} $content;
        close($handle) or die "close: $!\n";
        my $message =
            "invalid ID map: range '0 200000 65536' is not within root's ranges in $file";
        my $error = {
            error => 'io.pve.oci.InvalidArgument',
            parameters => { message => $message, parameter => 'uidMap' },
        };
        my ($daemon, $code, $out, $err) = run_with([['reply', $error]], qw(extract a b));
        is($code, 2, 'exit code');
        is(
            $err,
            "pve-oci: extract: $message\n"
                . "pve-oci: extract: add $advice{$content} to $file,"
                . " or set allow-any-id-map = yes in /etc/pve-ocid.conf and reload pve-ocid\n",
            'what to do about it',
        );
    }
};

subtest 'what to do about a limit, and without a record' => sub {
    my sub err_of ($name, $parameters, @words) {
        $parameters->{message} //= 'm';
        my $reply = ['reply', { error => "io.pve.oci.$name", parameters => $parameters }];
        my ($daemon, $code, $out, $err) = run_with([$reply], @words);
        is($code, 1, 'exit code');
        return $err =~ s/\Apve-oci: extract: m\n//r;
    }
    my $limit = { limit => 'maximumSize', maximum => 1 << 20 };
    my $setting = "pve-oci: extract: the limit is maximum-size in /etc/pve-ocid.conf;"
        . " raise it if you trust the image\n";
    is(err_of('LimitExceeded', $limit, qw(extract a b)), $setting, 'a setting');
    is(
        err_of('LimitExceeded', $limit, qw(extract a b --max-bytes 1M)),
        "pve-oci: extract: the limit is that of --max-bytes\n", 'an option'
    );
    is(
        err_of('LimitExceeded', $limit, qw(extract a b --max-bytes 2M)), $setting,
        'a setting that is lower than the option'
    );
    like(
        err_of('NoRecord', {}, 'diff', $DIRECTORY),
        qr/: diff: pct create and extract --record write it; update takes --base ARCHIVE instead$/m,
        'no record'
    );
    my $said = { message => 'no record: --base ARCHIVE makes it' };
    unlike(err_of('NoRecord', $said, 'diff', $DIRECTORY), qr/instead/, 'not said twice');
};

subtest 'no daemon' => sub {
    my ($code, $out, $err) = run('info', '--socket', "$DIRECTORY/none");
    is($code, 69, 'exit code');
    is(
        $err,
        "pve-oci: info: cannot connect to pve-ocid at '$DIRECTORY/none':"
            . " No such file or directory\n"
            . 'pve-oci: info: is pve-ocid.socket started?'
            . " See systemctl status pve-ocid.socket, journalctl -u pve-ocid\n",
        'lines'
    );
    my $daemon;
    ($daemon, $code, $out, $err) = run_with([['raw', 'x']], 'info');
    is($code, 69, 'lost connection');
    my @lines = split(/\n/, $err);
    like($lines[0], qr/\Apve-oci: info: connection to pve-ocid lost: /, 'line');
    is($lines[1], 'pve-oci: info: journalctl -u pve-ocid shows why', 'where to look');
    is(scalar(@lines), 2, 'no more');
};

mkdir("$DIRECTORY/b") or die $!;

# Starts an extraction, sends the signals after these delays, and returns exit code and words.
sub extract_with_signals ($steps, @signals) {
    my $daemon = FakeDaemon->start([progress(0, 1), $steps->@*]);
    my $pid = start_program('extract', 'a', 'b', '--socket', $daemon->socket());
    ok($daemon->wait_for('call'), 'call arrived');
    Time::HiRes::sleep(0.3);
    for my $signal (@signals) {
        my ($name, $delay) = ref($signal) ? $signal->@* : ($signal, 0);
        Time::HiRes::sleep($delay);
        kill($name, $pid);
    }
    waitpid($pid, 0);
    ok($daemon->wait_for('eof'), 'connection was closed');
    return ($? >> 8, slurp("$DIRECTORY/err") =~ s/^layer .*\n//mgr);
}

my $CLEANING = "pve-oci: extract: interrupted, removing what was extracted\n";

for my $case (['HUP', 129], ['INT', 130], ['TERM', 143]) {
    my ($signal, $expected) = $case->@*;
    subtest "SIG$signal" => sub {
        my ($code, $err) = extract_with_signals([['wait_eof']], $signal);
        is($code, $expected, 'exit code');
        is($err, "${CLEANING}pve-oci: extract: b is as it was before\n", 'first and last word');
    };
    subtest "SIG$signal twice at once" => sub {
        my ($code, $err) =
            extract_with_signals([['clean', 2]], $signal, [$signal, 0.02], [$signal, 0.4]);
        is($code, $expected, 'exit code');
        is($err, "${CLEANING}pve-oci: extract: b is as it was before\n", 'first and last word');
    };
}

subtest 'a second, later signal' => sub {
    open(my $handle, '>', "$DIRECTORY/b/left") or die $!;
    my $daemon = FakeDaemon->start([progress(0, 1), ['clean', 30]]);
    unlink("$DIRECTORY/b/left");
    my $pid = start_program('extract', 'a', 'b', '--socket', $daemon->socket());
    ok($daemon->wait_for('call'), 'call arrived');
    Time::HiRes::sleep(0.3);
    open($handle, '>', "$DIRECTORY/b/left") or die $!;
    kill('INT', $pid);
    my $start = time();
    Time::HiRes::sleep(3.2);
    kill('INT', $pid);
    waitpid($pid, 0);
    cmp_ok(time() - $start, '<', 20, 'ends the waiting');
    is($? >> 8, 130, 'exit code');
    is(
        slurp("$DIRECTORY/err") =~ s/^layer .*\n//mgr,
        $CLEANING
            . 'pve-oci: extract: pve-ocid was not waited for:'
            . " it may still be removing files of the image\n"
            . "pve-oci: extract: b still holds files of the image, such as left;"
            . " empty it before it is used again\n",
        'says what is left',
    );
    unlink("$DIRECTORY/b/left");
};

done_testing();
