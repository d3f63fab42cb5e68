# The command pve-oci: what each verb prints, help and completion, standard input and output.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use IO::Socket::UNIX;
use JSON;
use Socket qw(SOL_SOCKET);
use Test::More;

use CliTest qw($DIRECTORY $PROGRAM run run_with);
use FakeDaemon;
use PVE::OCI::CLI::Progress;
use PVE::OCI::CLI::Verbs;
use PVE::OCI::Text;

subtest 'detect' => sub {
    my ($daemon, $code, $out, $err) = run_with(
        [['reply', { parameters => { format => 'ociArchive', layoutVersion => '1.0.0' } }]],
        'detect', 'a'
    );
    is(
        "$code|$out|$err", "0|format          ociArchive\nlayout version  1.0.0\n|",
        'an OCI archive'
    );
    ($daemon, $code) =
        run_with([['reply', { parameters => { format => 'dockerArchive' } }]], 'detect', 'a');
    is($code, 0, 'of docker, which extract takes as well');
    ($daemon, $code, $out) =
        run_with([['reply', { parameters => { format => 'tar' } }]], 'detect', '-j', 'a');
    is("$code|$out", "1|{\"format\":\"tar\"}\n", 'the answer is no');
    ($daemon, $code) =
        run_with([['reply', { parameters => { format => 'dockerArchive' } }]], 'detect', 'a');
    is($code, 0, 'what extract takes is one');
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
    is_deeply([grep { length($_) > 80 } split(/\n/, $out)], [], 'within 80 columns');
    is((run('help', 'extract'))[1], (run('extract', '--help'))[1], 'help VERB is VERB --help');
    for my $verb (@PVE::OCI::CLI::Verbs::VERBS) {
        ($code, $out) = run($verb->{name}, '--help');
        is($code, 0, "$verb->{name} --help");
        is_deeply([grep { length($_) > 80 } split(/\n/, $out)], [], '... within 80 columns');
        like($out, qr/--\Q$_\E\b/, "... names --$_")
            for PVE::OCI::CLI::Verbs::options_of($verb);
    }
    ($code, $out) = run('--version');
    like($out, qr/\Apve-oci \d+\.\d+\.\d+\n\z/, 'version');
    my @unknown = grep { !$PVE::OCI::CLI::Options::TABLE->{$_} }
        map { PVE::OCI::CLI::Verbs::options_of($_) } @PVE::OCI::CLI::Verbs::VERBS;
    is_deeply(\@unknown, [], 'every option of a verb is in the table');
};

# What bash would offer for the last of these words.
sub completions (@words) {
    my ($code, $script) = run('completion');
    my $list = join(' ', map { "'$_'" } 'pve-oci', @words);
    my $count = scalar(@words);
    open(my $file, '>', "$DIRECTORY/complete") or die $!;
    print {$file} $script, "COMP_WORDS=($list); COMP_CWORD=$count; _pve_oci;",
        " printf '%s\\n' \"\${COMPREPLY[@]}\"\n";
    close($file) or die $!;
    my $output = qx(cd $DIRECTORY && bash -u complete 2>&1);
    return [split(/\n/, $output)];
}

subtest 'completion' => sub {
    my @cases = (
        [['ex'], ['extract']], [['-v', 'ex'], ['extract']],
        [['--socket', '/x', 'ver'], ['verify']],
        [['help', 'ex'], ['extract']], [['inspect', '--co'], ['--config']],
        [['inspect', '--output-format', 'json'], ['json', 'json-pretty']],
        [['extract', '--arch', 'arm'], ['arm', 'arm64']], [['extract', '--uidmap', ''], []],
        [['-'], [map { "--$_" } @PVE::OCI::CLI::Options::COMMON]],
        [['extract', 'a b'], ['a b.tar']], [['extract', '--socket', 'a b'], ['a b.tar']],
        [['integrate', ''], []], [['jobs', 'a'], []],
        [['env', 'a'], ['a b.tar']], [['env', 'rootfs', ''], [qw(list set unset)]],
        [['env', '--init', 'on', 'rootfs', 'u'], ['unset']],
        [['env', 'rootfs', 'set', 'A'], []],
        [['env', 'rootfs', '--c'], ['--command']],
    );
    open(my $file, '>', "$DIRECTORY/a b.tar") or die $!;
    for my $case (@cases) {
        my ($words, $expected) = $case->@*;
        is_deeply([grep { $_ ne '' } completions($words->@*)->@*], $expected, "@$words");
    }
    my $job = { id => '17', method => 'm' };
    my $daemon = FakeDaemon->start([['reply', { parameters => { jobs => [$job] } }]]);
    local $ENV{PATH} = "$FindBin::Bin/../bin:$ENV{PATH}";
    local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
    is_deeply(completions('cancel', ''), ['17'], 'cancel has the jobs');
};

# A daemon keeps strangers from passing descriptors (since Linux 6.16).
subtest 'what the kernel refuses to pass' => sub {
    plan(skip_all => 'needs root') if $> != 0;
    my $path = "$DIRECTORY/strangers";
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "listen: $!\n";
    my $SO_PASSRIGHTS = 83;
    plan(skip_all => 'the kernel cannot refuse descriptors')
        if !setsockopt($listener, SOL_SOCKET, $SO_PASSRIGHTS, pack('i', 0));
    chmod(0777, $DIRECTORY, $path) == 2 or die "chmod: $!\n";
    my @command = ('setpriv', '--reuid=65534', '--clear-groups', $PROGRAM);
    my $said = qx(@command inspect /etc/passwd --socket $path 2>&1);
    is($? >> 8, 77, 'is a matter of permission');
    is(
        $said,
        'pve-oci: inspect: pve-ocid reads files for root only; others use the embedded engine'
            . " (pve-oci --embedded)\n",
        'and says what can be done'
    );
};

subtest 'standard input as archive' => sub {
    my $script = [['reply', { parameters => { format => 'ociArchive' } }]];
    my $daemon = FakeDaemon->start($script);
    my $socket = $daemon->socket();
    is(system("$PROGRAM detect - --socket $socket >/dev/null <$0"), 0, 'a file');
    is_deeply($daemon->call()->{descriptors}, [$0], 'goes by descriptor') if $0 =~ m{\A/};
    my $err = qx(echo | $PROGRAM detect - --socket $socket 2>&1);
    is($? >> 8, 2, 'a pipe');
    is(
        $err,
        'pve-oci: detect: standard input is a pipe, but an archive is read by seeking:'
            . " write it to a file first, or use < FILE\n",
        'is told',
    );
};

subtest 'a full disk is an error' => sub {
    for my $verb (qw(info help completion --version)) {
        my $daemon = FakeDaemon->start([['reply', { parameters => { version => '1' } }]]);
        my $socket = $daemon->socket();
        my $err = qx(PVE_OCI_SOCKET=$socket $PROGRAM $verb 2>&1 >/dev/full);
        is($? >> 8, 1, "exit code of $verb");
        like(
            $err,
            qr/\Apve-oci: (?:\w+: )?cannot write to standard output: No space left on device\n\z/,
            'line'
        );
    }
};

subtest 'sizes and the bar' => sub {
    is(PVE::OCI::Text::size($_->[0]), $_->[1], "$_->[0] bytes")
        for [0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [1536 * 1024, '1.5 MiB'];
    my $progress = { phase => 'extracting', bytesRead => 1048576, bytesTotal => 4194304 };
    my %bars = (
        200 => 'extracting [======                  ]  25%  1.0 MiB of 4.0 MiB  ETA 0:06'
            . '  512.0 KiB/s',
        80 =>
            'extracting [====               ]  25%  1.0 MiB of 4.0 MiB  ETA 0:06  512.0 KiB/s',
        60 => 'extracting [===         ]  25%  1.0 MiB of 4.0 MiB  ETA 0:06',
        30 => 'extracting [===         ]  25%',
        14 => 'extracting  25',
    );
    for my $columns (sort keys %bars) {
        my $bar = PVE::OCI::CLI::Progress::bar($progress, 2, $columns);
        is($bar, $bars{$columns}, "bar of $columns columns");
        cmp_ok(length($bar), '<=', $columns, 'fits');
    }
    is(
        PVE::OCI::CLI::Progress::bar({ phase => 'queued' }, 2, 80), 'queued',
        'nothing known yet'
    );
    is(
        PVE::OCI::CLI::Progress::bar({ phase => "\e[1m", bytesTotal => [] }, 2, 80), '?',
        'hostile progress'
    );
};

subtest 'lines where there is no terminal' => sub {
    my $state = { layer => 0, time => 0 };
    my $line = sub ($layer, $read, $now) {
        my $progress = {
            layerIndex => $layer, layersCount => 2, bytesRead => $read, bytesTotal => 1000,
            entriesWritten => 7,
        };
        return PVE::OCI::CLI::Progress::line($progress, $state, $now);
    };
    is($line->(0, 0, 1), 'layer 1/2: 0 B of 1000 B read (0%), 7 entries', 'a layer');
    is($line->(0, 10, 5.9), undef, 'the same, soon');
    is(
        $line->(0, 20, 6.1), 'layer 1/2: 20 B of 1000 B read (2%), 7 entries',
        'the same, later'
    );
    is($line->(1, 30, 6.2), 'layer 2/2: 30 B of 1000 B read (3%), 7 entries', 'another');

    # something is said before the first progress comes, such as the number of the job
    my @warnings;
    local $SIG{__WARN__} = sub ($text) { push @warnings, $text };
    open(my $handle, '>', \my $written) or die "open: $!\n";
    my ($show, $clear) = PVE::OCI::CLI::Progress::display($handle, 0);
    $clear->();
    $show->({ layerIndex => 0, layersCount => 1, bytesRead => 1, bytesTotal => 2 }) for 1, 2;
    close($handle) or die "close: $!\n";
    is($written, "layer 1/1: 1 B of 2 B read (50%)\n", 'after a line of the program');
    is_deeply(\@warnings, [], '... without a warning');
};

done_testing();
