# Replies of a worker that do not match the interface io.pve.oci.worker end in an error that names
# the field, from the daemon and from the embedded engine.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::JVM;
use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(home jdks);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
plan(skip_all => 'no JDK found') if !defined((jdks())[0]);

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/a'] }, entry('0', 'a'));
my $serial = 0;

# Stands in for a worker: answers the first request with what a file holds, and ends.
my $FAKE = <<'END';
#!/usr/bin/perl
use v5.36;
use IO::Socket::UNIX;
my ($at) = grep { $ARGV[$_] eq '--socket' } 0 .. $#ARGV;
my $socket;
if (defined($at)) {
    $socket = IO::Socket::UNIX->new(Peer => $ARGV[$at + 1]) or exit(1);
    syswrite($socket, qq({"parameters":{"ready":true},"continues":true}\0));
} else {
    open($socket, '+<&=', 0) or exit(1);
}
local $/ = "\0";
<$socket> // exit(0);
open(my $file, '<', $ENV{PVE_OCI_TEST_ANSWER}) or exit(1);
my $answer = do { local $/ = undef; <$file> };
syswrite($socket, "$answer\0");
sysread($socket, my $rest, 1) if defined($at);
END

my sub event ($parameters) {
    return { continues => JSON::true, parameters => $parameters };
}

my $DETECTED = { format => 'ociArchive' };

# Frames that are sent, and what the error says of them.
my @REPLIES = (
    ['format', { parameters => {} }],
    ['format', { parameters => { format => 1 } }],
    ['format', { parameters => { format => 'zip' } }],
    ['layoutVersion', { parameters => { $DETECTED->%*, layoutVersion => 1 } }],
    ['extra', { parameters => { $DETECTED->%*, extra => 1 } }],
    ['parameters', { parameters => [] }],
    ['upgraded', { parameters => $DETECTED, upgraded => 1 }],
    ['continues', { parameters => $DETECTED, continues => JSON::false }],
    ['an event that says nothing', event({})],
    ['an event that says nothing', event({ progress => undef })],
    ['news', event({ news => 1 })],
    ['ready', event({ ready => 1 })],
    ['log.level', event({ log => { level => 'err', message => '' } })],
    ['log.message', event({ log => { level => 'error' } })],
    ['progress.phase', event({ progress => {} })],
    ['existing[0]', event({ existing => ['a'] })],
    ['existing[0].isDirectory', event({ existing => [{ path => 'a' }] })],
    ['config', event({ config => {} })],
    ['error', { error => 'io.pve.oci.NoSuchError', parameters => { message => '' } }],
    ['error', { error => 'org.example.BlobNotFound', parameters => { message => '' } }],
    ['error.digest', { error => 'io.pve.oci.BlobNotFound', parameters => { message => 'm' } }],
    [
        'error.more',
        {
            error => 'io.pve.oci.BlobNotFound',
            parameters => { message => 'm', digest => '', more => 1 }
        }
    ],
);

# What a call ends in when the worker, or the embedded engine, sends these frames.
my sub error_of ($call, @frames) {
    open(my $answer, '>', "$DIRECTORY/answer") or die "answer: $!\n";
    print {$answer} join("\0", map { encode_json($_) } @frames);
    close($answer) or die "answer: $!\n";
    my $is_done = eval { $call->(); 1 };
    return $is_done ? {} : PVE::OCI::Error::caught($@) // die $@;
}

my sub invalid_replies ($options) {
    my $detect = sub () { PVE::OCI::detect_archive($IMAGE, $options) };
    for my $case (@REPLIES) {
        my ($field, $frame) = $case->@*;
        my $error = error_of($detect, $frame);
        is($error->{name}, 'io.pve.oci.WorkerFailed', "$field: by name");
        is($error->{message}, "worker sent an invalid reply: $field", '... and field');
    }
    my $verify = sub () { PVE::OCI::verify_image($IMAGE, $options) };
    my $error = error_of($verify, { parameters => { verified => [{ digest => 'a' }] } });
    is($error->{message}, 'worker sent an invalid reply: verified[0].mediaType', 'in a list');
    $error = error_of($detect, event({ config => {}, ready => JSON::true }));
    is($error->{message}, 'worker sent an invalid reply: config', 'a config with something else');

    my $extract = sub () {
        my $rootdir = "$DIRECTORY/rootfs" . $serial++;
        mkdir($rootdir) or die "mkdir $rootdir: $!\n";
        PVE::OCI::extract_image($IMAGE, $rootdir, $options);
    };
    $error = error_of($extract, (event({ config => {} })) x 2);
    is($error->{message}, 'worker sent an invalid reply: config twice', 'two configurations');

    $error = error_of(
        $detect,
        { error => 'org.varlink.service.InvalidParameter', parameters => { parameter => 'a' } }
    );
    is($error->{message}, 'worker refuses the request\'s parameter a', 'a refused request');
    is($error->{name}, 'io.pve.oci.WorkerFailed', '... by name');

    my $available = [{
        manifest => {
            mediaType => "\x{202e}a",
            digest => "b\n",
            size => 7,
            annotations => { "k\e" => "v\e[2J" }
        },
        layersSize => 1,
        layersCount => 2,
    }];
    $error = error_of(
        $detect,
        {
            error => 'io.pve.oci.NoMatchingImage',
            parameters => { message => "m\e[2J", available => $available }
        },
    );
    is($error->{message}, 'm\x1b[2J', 'what an error says can be shown');
    is_deeply(
        $error->{parameters}->{available},
        [{
            manifest => {
                mediaType => '\xe2\x80\xaea',
                digest => 'b\x0a',
                size => 7,
                annotations => { 'k\x1b' => 'v\x1b[2J' }
            },
            layersSize => 1,
            layersCount => 2,
        }],
        '... and what it holds'
    );
    return;
}

$ENV{PVE_OCI_TEST_ANSWER} = "$DIRECTORY/answer";

subtest 'a reply that does not match' => sub {
    my $fake = "$DIRECTORY/fake";
    open(my $file, '>', $fake) or die "fake: $!\n";
    print {$file} $FAKE;
    close($file) or die "fake: $!\n";
    chmod(0755, $fake) or die "chmod: $!\n";
    my $daemon = RealDaemon->start('--launcher', $fake, '--spares', 0);
    invalid_replies({ socket => $daemon->{socket}, mode => 'daemon' });
};

subtest 'a reply of the embedded engine that does not match' => sub {
    plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };
    no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
    local *PVE::OCI::JVM::start = sub ($settings, $connection, $log, $owner) {
        my $pid = fork() // return -1;
        return $pid if $pid;
        POSIX::dup2($connection, 0) // POSIX::_exit(98);
        exec($^X, '-e', $FAKE) or POSIX::_exit(99);
    };
    invalid_replies({ mode => 'embedded' });
};

done_testing();
