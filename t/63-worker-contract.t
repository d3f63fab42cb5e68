# The interface io.pve.oci.worker between whoever starts a worker and the worker. A real worker
# checks what PVE::OCI::WorkerRequest and bin/pve-oci-class-data send against the definition, and
# refuses a request that does not match it with the field's name. t/63-worker-replies.t has replies.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::OCI;
use PVE::OCI::Settings;
use PVE::OCI::Varlink;
use PVE::OCI::WorkerRequest;
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
    # one map alone would make half a privileged container
    ['ParseAndExtractImage', { uidMap => [{ inside => 0, count => 1 }] }, 'gidMap'],
    ['ParseAndExtractImage', { gidMap => [{ inside => 0, count => 1 }] }, 'uidMap'],
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

done_testing();
