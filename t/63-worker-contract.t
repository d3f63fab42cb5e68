# The interface io.pve.oci.worker between whoever starts a worker and the worker. A real worker
# checks what PVE::OCI::WorkerRequest and bin/pve-oci-class-data send against the definition.
# Requests and replies that do not match it end in an error that names the field.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::JVM;
use PVE::OCI::Settings;
use PVE::OCI::Varlink;
use PVE::OCI::WorkerRequest;
use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(clone_mount home jdks patience root start_worker stop_worker);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
my ($JDK) = jdks();
plan(skip_all => 'no JDK found') if !defined($JDK);

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/a'] }, entry('0', 'a'));
my $INTERFACE = do {
    open(my $file, '<', root() . '/java/src/main/resources/io.pve.oci.worker.varlink')
        or die "interface: $!\n";
    local $/ = undef;
    readline($file) =~ s/^\s*#.*\n//gmr;
};
my $serial = 0;

my sub slurp ($path) {
    open(my $file, '<', $path) or die "$path: $!\n";
    local $/ = undef;
    return readline($file) // '';
}

# Names of the fields of a type or of a method's parameters.
my sub fields_of ($definition) {
    my ($body) = $INTERFACE =~ /^\Q$definition\E ?\((.*?)^\)/ms or die "no $definition\n";
    return [sort $body =~ /^\s*(\w+):/gm];
}

# The real one, in its sandbox, as the daemon starts it.
my sub new_worker() {
    my @jars = (home() . '/pve-oci.jar', glob(home() . '/lib/*.jar'));
    my $worker = start_worker(
        jdk => $JDK,
        socket => "$DIRECTORY/socket" . $serial++,
        log => "$DIRECTORY/log",
        class => 'pve/oci/worker/WorkerMain',
        jvm_options => [
            '-Xmx64m', '-XX:+UseSerialGC', '-Dsun.java.launcher=SUN_STANDARD',
            '-Djava.class.path=' . join(':', @jars),
            '-Djna.nounpack=true',
            '-Djna.boot.library.path=' . home() . '/native',
            '-DZstdNativePath=' . home() . '/native/libzstd-jni.so',
        ],
    );
    my $connection = PVE::OCI::Varlink::make_connection($worker->{connection}, 'worker');
    $connection->{patience} = patience();
    return { $worker->%*, varlink => $connection };
}

# What became of a request: undef, or the error.
my sub outcome ($worker, $method, $parameters, @handles) {
    my $is_done = eval {
        PVE::OCI::Varlink::exchange(
            $worker->{varlink},
            $method,
            $parameters,
            { more => 1, descriptors => [map { fileno($_) } @handles] },
        );
    };
    return $is_done ? undef : PVE::OCI::Error::caught($@) // die $@;
}

my sub opened ($path) {
    open(my $handle, '<', $path) or die "open $path: $!\n";
    return $handle;
}

# A new root directory as a worker gets it.
my sub new_tree() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir($path) or die "mkdir $path: $!\n";
    open(my $handle, '<&=', clone_mount($path)) or die "open: $!\n";
    return $handle;
}

my $RANGE = [{ inside => 0, outside => 0, count => 65536 }];
my $ALL_LIMITS = PVE::OCI::Settings::engine_options(
    {
        map { $_ => $PVE::OCI::Settings::LIMITS->{$_}->[2] }
            keys $PVE::OCI::Settings::LIMITS->%*
    },
    {}
);
my $SELECTOR = { referenceName => undef, architecture => undef };

my sub job ($method, $maps = { uid_map => [], gid_map => [] }) {
    my $traits = PVE::OCI::WorkerRequest::traits($method);
    return PVE::OCI::WorkerRequest::job(
        $method,
        $traits->{has_archive} ? { handle => opened($IMAGE), name => 'image.tar' } : undef,
        $traits->{has_root} ? { handle => new_tree() } : undef,
        $maps,
        { selector => $SELECTOR, discardChanges => \1, step => 'abandon' },
        $ALL_LIMITS,
    );
}

my $worker = new_worker();

subtest 'requests of the embedded engine\'s caller' => sub {
    is_deeply([sort keys $ALL_LIMITS->%*], fields_of('type Limits'), 'every limit is sent');
    my @methods = qw(
        DetectArchive InspectImage VerifyImage ParseAndExtractImage CompareRootDirectory
        CompareWithImage StageUpdate ApplyUpdate
    );
    my @existing = map { { path => $_, isDirectory => JSON::true } } '', 'lost+found';
    my $clean = PVE::OCI::WorkerRequest::clean({ handle => new_tree() }, \@existing);
    my %maps = (uid_map => $RANGE, gid_map => $RANGE);
    for my $request ((map { job($_) } @methods), job('ParseAndExtractImage', \%maps), $clean) {
        my ($method) = $request->{method} =~ /(\w+)\z/;
        is_deeply(
            [sort keys $request->{parameters}->%*],
            fields_of("method $method"), "$method: fields"
        );
        my $error =
            outcome($worker, $request->@{qw(method parameters)}, $request->{handles}->@*);
        $error = undef
            if $method eq 'CompareRootDirectory' && ($error // '') =~ /there is no record/;
        is($error, undef, "$method: the worker takes it");
    }
};

# A JVM for pve-oci-class-data that only writes down what it is asked.
my $RECORDER = <<'END';
#!/usr/bin/perl
use v5.36;
local $/ = "\0";
open(my $socket, '+<&=', 0) or exit(1);
open(my $file, '>>', "$ENV{PVE_OCI_TEST_REQUESTS}") or exit(1);
while (my $request = <$socket>) {
    syswrite($file, $request);
    syswrite($socket, qq({"parameters":{}}\0));
}
END

subtest 'requests of pve-oci-class-data' => sub {
    mkdir($_) or die "mkdir $_: $!\n" for "$DIRECTORY/jdk", "$DIRECTORY/jdk/bin";
    open(my $java, '>', "$DIRECTORY/jdk/bin/java") or die "java: $!\n";
    print {$java} $RECORDER;
    close($java) or die "java: $!\n";
    chmod(0755, "$DIRECTORY/jdk/bin/java") or die "chmod: $!\n";
    local $ENV{PVE_OCI_TEST_REQUESTS} = "$DIRECTORY/requests";
    my @command = (root() . '/bin/pve-oci-class-data', $DIRECTORY, "$DIRECTORY/jdk");
    is(system(@command), 0, 'it has run');
    my @requests = map { decode_json($_) } split(/\0/, slurp("$DIRECTORY/requests"));
    cmp_ok(scalar(@requests), '>=', 8, 'requests');
    my $tree;
    for my $request (@requests) {
        my ($method, $parameters) = $request->@{qw(method parameters)};
        # each call finds what the one before has made
        $tree = new_tree() if $method =~ /ParseAndExtractImage/;
        my %object = (archive => sub { opened($IMAGE) }, rootDirectory => sub { $tree });
        my @handles;
        for my $object (qw(archive rootDirectory)) {
            my $index = $parameters->{"${object}FileDescriptor"} // next;
            $handles[$index] = $object{$object}->();
        }
        # its image has an architecture of its own
        delete $parameters->{selector}->{architecture} if $parameters->{selector};
        my $what = join(' ', $method, $parameters->{step} // ());
        is(
            outcome($worker, $method, $parameters, @handles), undef,
            "$what: the worker takes it"
        );
    }
};

# Method, what is changed in a request that is right, and the field that the worker names. A field
# that becomes a code reference is removed.
my $REMOVED = sub { };
my @WRONG = (
    ['DetectArchive', { limits => $REMOVED }, 'limits'],
    ['DetectArchive', { limits => { maximumSize => '1' } }, 'limits.maximumSize'],
    ['DetectArchive', { limits => { maximumSpeed => 1 } }, 'limits.maximumSpeed'],
    ['DetectArchive', { archiveName => 1 }, 'archiveName'],
    ['DetectArchive', { archiveFileDescriptor => '0' }, 'archiveFileDescriptor'],
    ['DetectArchive', { archiveFileDescriptor => 7 }, 'archiveFileDescriptor'],
    ['DetectArchive', { selector => {} }, 'selector'],
    ['InspectImage', { selector => $REMOVED }, 'selector'],
    ['InspectImage', { selector => { architecture => [] } }, 'selector.architecture'],
    ['InspectImage', { action => 'inspect' }, 'action'],
    ['ParseAndExtractImage', { uidMap => $REMOVED }, 'uidMap'],
    ['ParseAndExtractImage', { gidMap => $REMOVED }, 'gidMap'],
    ['ParseAndExtractImage', { uidMap => undef }, 'uidMap'],
    ['ParseAndExtractImage', { uidMap => {} }, 'uidMap'],
    ['ParseAndExtractImage', { uidMap => [{ inside => 0 }] }, 'uidMap[0].count'],
    ['ParseAndExtractImage', { uidMap => [{ inside => 0, count => 0 }] }, 'uidMap[0]'],
    ['ParseAndExtractImage', { uidMap => $RANGE }, 'uidMap[0].outside'],
    [
        'ParseAndExtractImage', { rootDirectoryFileDescriptor => $REMOVED },
        'rootDirectoryFileDescriptor'
    ],
    ['CleanRootDirectory', { existing => $REMOVED }, 'existing'],
    ['CleanRootDirectory', { existing => [{ path => 'a' }] }, 'existing[0].isDirectory'],
    ['CleanRootDirectory', { existing => ['a'] }, 'existing[0]'],
);

subtest 'a request that does not match' => sub {
    for my $case (@WRONG) {
        my ($method, $change, $field) = $case->@*;
        my $request =
            $method eq 'CleanRootDirectory'
            ? PVE::OCI::WorkerRequest::clean({ handle => new_tree() }, [])
            : job($method);
        my $parameters = { $request->{parameters}->%*, $change->%* };
        for my $name (keys $parameters->%*) {
            delete $parameters->{$name} if ref($parameters->{$name}) eq 'CODE';
        }
        my $error = outcome($worker, $request->{method}, $parameters, $request->{handles}->@*);
        is(
            $error && join(' ', $error->{name}, $error->{parameters}->{parameter} // ''),
            "org.varlink.service.InvalidParameter $field",
            "$method: $field"
        );
    }
    my $error = outcome($worker, 'io.pve.oci.worker.Extract', {});
    is($error->{name}, 'org.varlink.service.MethodNotFound', 'a method that there is not');
    is(
        outcome($worker, job('DetectArchive')->@{qw(method parameters)}, opened($IMAGE)),
        undef, 'the worker goes on'
    );
};

is(stop_worker($worker), 'exit 0', 'the worker ends with its connection');

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
