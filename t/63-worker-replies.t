# Replies of a worker that do not match the interface io.pve.oci.worker end in an error that names
# the field, from the daemon and from the embedded engine.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use FakeWorker qw(instead_of_engine launcher worker_program);
use PVE::OCI;
use PVE::OCI::JVM;
use PVE::OCI::RootUpdate;
use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(home jdks root);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
plan(skip_all => 'no JDK found') if !defined((jdks())[0]);

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/a'] }, entry('0', 'a'));
my $serial = 0;

# Stands in for a worker: answers the first request with what a file holds, and ends.
my $FAKE = worker_program(<<'END');
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

# Errors that a worker cannot decide on. The embedded engine's caller has the same list.
my @OF_THE_DAEMON_ALONE = do {
    open(my $file, '<', root() . '/java/src/main/java/pve/oci/service/OciErrors.java')
        or die "OciErrors.java: $!\n";
    local $/ = undef;
    my ($list) = readline($file) =~ /OF_THE_DAEMON_ALONE = Set\.of\((.*?)\);/s
        or die "OciErrors.java: no list\n";
    $list =~ /"(\w+)"/g;
};

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
    (
        map { [
            'error',
            {
                error => "io.pve.oci.$_",
                parameters => { message => '', id => '1' }
            }
        ] } @OF_THE_DAEMON_ALONE
    ),
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
    print {$answer} join("\0", map { ref($_) ? encode_json($_) : $_ } @frames);
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

    my $new_root = sub () {
        my $rootdir = "$DIRECTORY/rootfs" . $serial++;
        mkdir($rootdir) or die "mkdir $rootdir: $!\n";
        return $rootdir;
    };
    my $extract = sub () { PVE::OCI::extract_image($IMAGE, $new_root->(), $options) };
    my $stage = sub () { PVE::OCI::RootUpdate::stage_update($IMAGE, $new_root->(), $options) };
    my $compare =
        sub () { PVE::OCI::RootUpdate::compare_root_directory($new_root->(), $options) };
    my $compare_image =
        sub () { PVE::OCI::RootUpdate::compare_with_image($IMAGE, $new_root->(), $options) };
    $error = error_of($extract, (event({ config => {} })) x 2);
    is($error->{message}, 'worker sent an invalid reply: config twice', 'two configurations');

    # fields that are optional in the interface, because replies with progress lack them
    $error = error_of($verify, { parameters => {} });
    is($error->{message}, 'worker sent an invalid reply: no verified', 'verify: no list');
    my $result = {
        manifestDigest => 'a', configDigest => 'b',
        platform => { architecture => 'amd64', os => 'linux' },
        entriesWritten => 0, bytesWritten => 0, whiteoutsApplied => 0,
        warnings => [], warningsCount => 0,
    };
    for my $case (
        [extract => $extract, 'result', 'config'], [stage => $stage, 'result', 'config'],
        [compare => $compare, 'comparison'],
        ['compare with image' => $compare_image, 'result', 'config', 'comparison'],
    ) {
        my ($what, $call, @required) = $case->@*;
        my $parameters = {};
        for my $field (@required) {
            $error = error_of($call, { parameters => $parameters });
            is($error->{message}, "worker sent an invalid reply: no $field", "$what: no $field");
            is($error->{name}, 'io.pve.oci.WorkerFailed', '... by name');
            $parameters->{$field} = $field eq 'result' ? $result : {};
        }
    }

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

# The daemon passes a configuration on as it is: what clients could not read ends the job before.
# The embedded engine's caller reads it itself, and refuses the same.
my sub configurations ($options) {
    my %configs = (
        'nests too deep' => [('{"a":' x 100) . '1' . ('}' x 100)],
        'out of the range' => [
            '{"a":[1e999]}',
            '{"a":-1E+310}',
            '{"a":{"b":' . '9' x 310 . '.5}}',
            '{"\\\\":[1,1e999]}',
            '{"a":1e999,"b":"' . 'x' x 500_000 . '"}',
        ],
        'half of a surrogate pair' => ['{"a":"\\\\\\ud800\\\\"}'],
        'low surrogate' => ['{"\\udc00":1}'],
        'JSON is not valid UTF-8' =>
            [qq({"a":"\xed\xa0\x80"}), qq({"a":"\xf4\x90\x80\x80"}), qq({"\xed\xbf\xbf":1})],
    );
    # what the module that decodes it for Perl finds itself
    my %words = map { $_ => 'a reply is not JSON' } 'half of a surrogate pair', 'low surrogate';
    %words = () if $options->{mode} ne 'embedded';
    my $inspect = sub () { PVE::OCI::inspect_image($IMAGE, $options) };
    for my $what (sort keys %configs) {
        my $expected = $words{$what} // $what;
        for my $config ($configs{$what}->@*) {
            my $error = error_of($inspect, qq({"continues":true,"parameters":{"config":$config}}));
            is($error->{name}, 'io.pve.oci.WorkerFailed', "config: $what");
            like(
                $error->{message}, qr/worker sent (?:no valid|an invalid) reply: .*$expected/,
                '... is said'
            );
        }
    }
    my $numbers = '1e300,1E-999,' . '9' x 310;
    my $valid = qq({"a":"\\\\ud800\\ud83d\\ude00\\n 1e999 \xed\x9f\xbf","b":[$numbers]});
    my $error = error_of($inspect, qq({"continues":true,"parameters":{"config":$valid}}), '{}');
    is($error->{message}, 'worker sent an invalid reply: images', 'others are passed on');
    return;
}

$ENV{PVE_OCI_TEST_ANSWER} = "$DIRECTORY/answer";

subtest 'a reply that does not match' => sub {
    my $fake = launcher($DIRECTORY, $FAKE);
    my $daemon = RealDaemon->start('--launcher', $fake, '--spares', 0);
    my $options = { socket => $daemon->{socket}, mode => 'daemon' };
    invalid_replies($options);
    configurations($options);
};

subtest 'a reply of the embedded engine that does not match' => sub {
    plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };
    no warnings qw(once redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
    local *PVE::OCI::JVM::start = instead_of_engine($FAKE);
    invalid_replies({ mode => 'embedded' });
    configurations({ mode => 'embedded' });
};

done_testing();
