#!/usr/bin/perl
# Clients that are not ours drive the daemon: varlinkctl of systemd, python3-varlink, varlink-go;
# and the certification client of varlink-go our server code.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;

use ForeignClients qw(python_environment unpacked varlinkctl);
use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(class_path home root wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
my @files =
    map { read($random, my $noise, 65536); entry('0', "file$_", content => $noise) } 1 .. 16;
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/bin/sh'] }, join('', @files));

# Large enough for progress without a limit.
read($random, my $much, 96 << 20);
my $LARGE_IMAGE = write_image(
    "$DIRECTORY/large.tar", { Cmd => ['/bin/sh'] },
    entry('0', 'file1', content => $much) . entry('0', 'file2', content => 'x'),
);
undef $much;

my @MAP = ({ inside => 0, outside => 100000, count => 65536 });
my $daemon = RealDaemon->start('--spares', 0);
my $address = "unix:$daemon->{socket}";

sub extraction ($root) {
    mkdir($root) or die "mkdir $root: $!\n";
    # slow enough for progress
    return {
        archivePath => $IMAGE, rootDirectory => $root, uidMap => \@MAP, gidMap => \@MAP,
        options => { bandwidthLimit => 1 << 20 },
    };
}

sub output_of (@command) {
    open(my $pipe, '-|', @command) or die "$command[0]: $!\n";
    my $output = do { local $/ = undef; <$pipe> };
    close($pipe);
    return ($? >> 8, $output // '');
}

sub has_owner ($path) {
    return is((stat($path))[4], 100000, "$path is the container's");
}

subtest 'varlinkctl' => sub {
    my @varlinkctl = varlinkctl();
    plan(skip_all => 'systemd of Debian 13 cannot be had') if !@varlinkctl;
    my ($status, $output) = output_of(@varlinkctl, 'info', $address);
    is($status, 0, 'info');
    like($output, qr/io\.pve\.oci/, 'info names the interface');

    ($status, $output) = output_of(@varlinkctl, 'introspect', $address, 'io.pve.oci');
    is($status, 0, 'introspect');
    like($output, qr/method ParseAndExtractImage/, 'introspect prints the interface');
    my $idl = root() . '/java/src/main/resources/io.pve.oci.varlink';
    is(
        (output_of(@varlinkctl, 'validate-idl', $idl))[0], 0,
        'systemd finds the interface valid'
    );

    ($status, $output) = output_of(
        @varlinkctl, 'call', '--json=short', '--more', $address,
        'io.pve.oci.ParseAndExtractImage',
        encode_json(extraction("$DIRECTORY/varlinkctl")),
    );
    is($status, 0, 'call --more');
    my @replies = map { decode_json(s/\A\x1e//r) } grep { /\S/ } split(/\n/, $output);
    ok($replies[0]->{jobId}, 'first the job');
    cmp_ok(scalar(grep { $_->{progress} && !$_->{result} } @replies), '>', 2, 'then progress');
    is($replies[-1]->{result}->{entriesWritten}, 16, 'last the result');
    has_owner("$DIRECTORY/varlinkctl/file1");
    diag($output =~ s/^(.{150}).*$/$1.../mgr);

    # the error's name comes on standard error
    ($status, $output) = output_of(
        'sh', '-c', 'exec "$@" 2>&1', 'sh', @varlinkctl, 'call', $address,
        'io.pve.oci.InspectImage',
        '{"archivePath": "/nowhere.tar"}',
    );
    isnt($status, 0, 'an error is one');
    like($output, qr/io\.pve\.oci\.SystemError/, 'and has its name');
};

subtest 'python3-varlink' => sub {
    my $path = python_environment();
    plan(skip_all => 'python3-varlink cannot be had') if !defined($path);
    local $ENV{PYTHONPATH} = $path;
    my $script = <<'END';
import json, sys, varlink
address, parameters = sys.argv[1], json.loads(sys.argv[2])
with varlink.Client(address) as client, client.open('io.pve.oci') as oci:
    print(json.dumps(oci.DetectArchive(parameters['archivePath'])))
    try:
        oci.InspectImage(archivePath='/nowhere.tar')
    except varlink.VarlinkError as error:
        print(json.dumps(error.error()))
    for reply in oci.ParseAndExtractImage(**parameters, _more=True):
        print(json.dumps(reply))
END
    my $parameters = encode_json(extraction("$DIRECTORY/python"));
    my ($status, $output) = output_of('python3', '-c', $script, $address, $parameters);
    is($status, 0, 'the script ends well');
    my ($detected, $error, @replies) = map { decode_json($_) } split(/\n/, $output);
    is($detected->{format}, 'ociArchive', 'DetectArchive');
    is($error, 'io.pve.oci.SystemError', 'an error has its name');
    cmp_ok(scalar(grep { $_->{progress} && !$_->{result} } @replies), '>', 2, 'progress');
    is($replies[-1]->{result}->{entriesWritten}, 16, 'the result');
    has_owner("$DIRECTORY/python/file1");
};

subtest 'varlink-go' => sub {
    my $root = -x '/usr/bin/varlink-go-certification' ? '' : unpacked('bookworm', 'varlink-go');
    plan(skip_all => 'varlink-go cannot be had') if !defined($root);
    plan(skip_all => 'needs mvn test-compile')
        if !-e home() . '/test-classes/pve/oci/varlink/CertificationServer.class';
    my $socket = "$DIRECTORY/certification";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        exec(
            'java', '-XX:TieredStopAtLevel=1',
            '-Dorg.newsclub.net.unix.library.override='
                . home()
                . '/native/libjunixsocket-native.so',
            '-cp', class_path(), 'pve.oci.varlink.CertificationServer', $socket
        ) or POSIX::_exit(98);
    }
    ok(wait_until(sub { -S $socket }), 'the server listens');
    my ($status, $output) = output_of(
        'sh', '-c', 'exec "$@" 2>&1', 'sh', "$root/usr/bin/varlink-go-certification",
        '--client',
        '--varlink', "unix:$socket",
    );
    diag($output);
    is($status, 0, 'the certification client ends well');
    like($output, qr/End: 'true'/, 'the server is certified');
    unlike($output, qr/failed/, 'no test fails');
    kill TERM => $pid;
    waitpid($pid, 0);

    my $generator = "$root/usr/bin/varlink-go-interface-generator";
    system(
        'cp', root() . '/java/src/main/resources/io.pve.oci.varlink',
        "$DIRECTORY/io.pve.oci.varlink"
    );
    is(
        system($generator, "$DIRECTORY/io.pve.oci.varlink"), 0,
        'its generator takes our interface'
    );
};

# The examples: each command line as a user types it, with the verb and its words to follow.
# junixsocket's native library is in a jar of its own, or beside the daemon's others.
sub java_example () {
    my ($library) = glob(home() . '/native/libjunixsocket*.so');
    my @options = defined($library) ? ("-Dorg.newsclub.net.unix.library.override=$library") : ();
    return ['java', @options, '-cp', class_path(), root() . '/examples/clients/Client.java'];
}

my $EXAMPLES = root() . '/examples/clients';
my %examples = (
    'Python' => sub () { ["$EXAMPLES/client.py"] },
    'shell' => sub () {
        my @varlinkctl = varlinkctl();
        return if !@varlinkctl || system('sh', '-c', 'command -v jq >/dev/null') != 0;
        $ENV{VARLINKCTL} = "@varlinkctl";
        return ["$EXAMPLES/client.sh"];
    },
    'Java' => sub () { java_example() },
    'C' => sub () {
        my @command = ('gcc', '-Wall', '-Wextra', '-Werror', '-o', "$DIRECTORY/client");
        is(system(@command, "$EXAMPLES/client.c"), 0, 'compiles without warnings');
        return ["$DIRECTORY/client"];
    },
);

for my $name (sort keys %examples) {
    subtest "example in $name" => sub {
        local $ENV{PVE_OCI_SOCKET} = $daemon->{socket};
        my $command = $examples{$name}->();
        plan(skip_all => "cannot be run here") if !$command;
        my ($status, $output) = output_of($command->@*, 'inspect', $IMAGE);
        is($status, 0, 'inspect');
        like($output, qr{/bin/sh}, 'shows the configuration');

        my $rootfs = "$DIRECTORY/example-$name";
        mkdir($rootfs) or die $!;
        ($status, $output) = output_of($command->@*, 'extract', $LARGE_IMAGE, $rootfs);
        is($status, 0, 'extract');
        like(
            $output, qr/(?:job|jobId)\W+[0-9]+.*extracting.*(?:entries|Written)\W+2/s,
            'tells all'
        );
        has_owner("$rootfs/file1");

        # a job that lasts, cancelled by the example
        my $slow = "$DIRECTORY/slow-$name";
        mkdir($slow) or die $!;
        my $child = RealDaemon::in_child(sub {
            PVE::OCI::extract_image(
                $IMAGE, $slow, { socket => $daemon->{socket}, bwlimit => 16 },
            );
        });
        my $job = $daemon->wait_for_job(sub ($job) {
            ($job->{rootDirectory} // '') eq $slow;
        });
        ($status) = output_of($command->@*, 'cancel', $job->{id});
        is($status, 0, 'cancel');
        my $error = RealDaemon::result_of($child)->{name};
        is($error, 'io.pve.oci.Cancelled', 'ends the job');
    };
}

subtest 'examples are short' => sub {
    for my $file (glob("$EXAMPLES/*")) {
        open(my $handle, '<', $file) or die $!;
        my @lines = <$handle>;
        cmp_ok(scalar(@lines), '<', 60, $file =~ s{.*/}{}r);
        is_deeply([grep { length($_) > 121 } @lines], [], 'columns');
    }
};

done_testing();
