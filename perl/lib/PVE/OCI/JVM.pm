package PVE::OCI::JVM;

# The engine of pve-oci in a child of this process: finds libjvm, the jars and the native libraries,
# and starts a Java virtual machine in the sandbox that the daemon's workers have. The machine is
# made in a forked child that never returns to Perl, so this process may fork, and handle signals,
# as before.
#
# PVE::OCI::Embedded is its only user. Documentation at the end.

use v5.36;

use Config;
use Cwd ();
use XSLoader;

our $VERSION = '0.1.0';

our $MINIMUM_VERSION = 17;

# Where Debian installs JDKs. The first usable one is taken; within a pattern, the newest first.
our @JVM_PATTERNS = ('/usr/lib/jvm/default-java', '/usr/lib/jvm/java-*-openjdk*', '/usr/lib/jvm/*');

my $MAIN_CLASS = 'pve/oci/embedded/Embedded';
my $OPEN_FILES = 4096;

# Paths go to dlopen(3) and mount(2), and JVM options and class paths are taken apart at some
# characters.
my sub clean_path ($path) {
    my ($clean) = ($path // '') =~ m{\A(/[A-Za-z0-9_./+\@=~-]*)\z};
    return $clean;
}

# The directories that hold this module: a source tree, or where packages install to.
my sub tree() {
    my ($tree) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/perl/lib/PVE/OCI/JVM\.pm\z}s;
    return defined($tree) ? clean_path($tree) : undef;
}

my sub library_directories ($home) {
    # not $Config{multiarch}, for which Perl compiles a file of 1,500 lines
    my ($triplet) = $Config{archname} =~ /\A(\w+-linux-\w+)/;
    return ("$home/native", defined($triplet) ? "/usr/lib/$triplet/pve-oci" : ());
}

# The directory of the jars, and that of the native libraries; dies with one line.
my sub find_home ($wanted) {
    my $tree = tree();
    my @homes =
        grep { defined } defined($wanted)
        ? ($wanted)
        : (
            $ENV{PVE_OCI_HOME}, defined($tree) ? "$tree/target" : (), '/usr/lib/pve-oci',
            '/usr/share/pve-oci'
        );
    for my $home (map { clean_path($_) // () } @homes) {
        next if !-e "$home/pve-oci.jar";
        for my $directory (map { clean_path($_) // () } library_directories($home)) {
            return ($home, $directory) if -e "$directory/libjnidispatch.so";
        }
    }
    die "no engine: looked for pve-oci.jar and its libraries in " . join(', ', @homes) . "\n";
}

# The version of the JDK or JRE in a directory, 0 when it does not say.
my sub version_of ($java_home) {
    open(my $file, '<', "$java_home/release") or return 0;
    while (my $line = <$file>) {
        return $1 == 1 ? $2 : $1 if $line =~ /\AJAVA_VERSION="?([0-9]+)(?:\.([0-9]+))?/;
    }
    return 0;
}

my sub by_version ($pattern) {
    my %version =
        map { $_ => version_of($_) } grep { defined } map { clean_path($_) } glob($pattern);
    my @sorted = sort { $version{$b} <=> $version{$a} || $a cmp $b } keys %version;
    return @sorted;
}

# Returns path of libjvm.so and the JDK's version. $wanted is the path of a JDK or of the library
# itself, and then no other is taken. Dies with one line that names what was looked for.
sub find_library ($wanted = undef) {
    my @homes =
        defined($wanted)
        ? ($wanted =~ s{/lib/server/libjvm\.so\z}{}r)
        : ($ENV{JAVA_HOME} // (), map { by_version($_) } @JVM_PATTERNS);
    my @rejected;
    for my $home (@homes) {
        my $clean = clean_path($home) // next;
        next if !-e "$clean/lib/server/libjvm.so";
        my $version = version_of($clean);
        return ("$clean/lib/server/libjvm.so", $version)
            if $version >= $MINIMUM_VERSION || $version == 0;
        push @rejected, "$clean is version $version";
    }
    my @looked =
        defined($wanted)
        ? ($wanted)
        : (
            defined($ENV{JAVA_HOME}) ? "JAVA_HOME ($ENV{JAVA_HOME})" : 'JAVA_HOME (not set)',
            @JVM_PATTERNS
        );
    my $rejected = @rejected ? '; ' . join(', ', @rejected) : '';
    die "no Java virtual machine of version $MINIMUM_VERSION or newer: looked for"
        . " lib/server/libjvm.so in "
        . join(', ', @looked)
        . "$rejected\n";
}

my sub java_options ($home, $libraries, $version) {
    # an archive of classes is only of use with the same class path, in the same order
    my @jars = ("$home/pve-oci.jar", sort map { clean_path($_) // () } glob("$home/lib/*.jar"));
    # beside these the sandbox has its own, native/sandbox.c
    my @options = (
        '-Xmx64m', '-XX:MaxDirectMemorySize=160m', '-Xshare:auto',
        '-XX:+UnlockDiagnosticVMOptions',
        '-XX:-PrintWarnings', '-Djava.class.path=' . join(':', @jars), "-Dpve.oci.home=$home",
        "-Djna.boot.library.path=$libraries", "-DZstdNativePath=$libraries/libzstd-jni.so",
    );
    # a class-data archive of another JVM or of other jars is ignored without a message
    push @options, '-Xlog:disable', '-Xlog:all=error,cds*=off:stderr';
    push @options, "-XX:SharedArchiveFile=$home/embedded.jsa" if -e "$home/embedded.jsa";
    # the other way to allow it, --enable-native-access, has half of a class-data archive ignored
    push @options, '--illegal-native-access=allow' if $version >= 24;
    # an engine works on one image: most of what the compiler does for a small one does not pay
    push @options, '-XX:CompileThresholdScaling=3';
    my $more = $ENV{PVE_OCI_JAVA_OPTIONS} // '';
    # a second compiler thread delays the start; with C2 there have to be two
    push @options, '-XX:CICompilerCount=1' if $more !~ /TieredStopAtLevel/;
    push @options, map { /\A(-[A-Za-z0-9:+=.,\/_-]+)\z/ } split(/ /, $more);
    return @options;
}

my $is_loaded;

# Loads the XS part, from the source tree when this module lies in one.
sub load() {
    return if $is_loaded;
    my $tree = tree();
    local @INC = (defined($tree) ? "$tree/target/perl" : (), @INC);
    my $loaded = eval { XSLoader::load('PVE::OCI::JVM', $VERSION); 1 };
    my ($reason) = split(/\n/, $@);
    die "no engine: $reason\n" if !$loaded;
    $is_loaded = 1;
    return;
}

# Bytes of memory that the engine may write: heap and direct memory as java_options() has them,
# windows of two zstd decompressors, and what the machine itself takes, as in the daemon's
# SandboxLauncher. By default a zstd frame may ask for 128 MiB.
sub data_limit ($window_log) {
    $window_log //= 27;
    return ((64 + 160 + 256) << 20) + (2 << $window_log);
}

# All that start() needs to know besides descriptors and id maps; dies with one line when something
# is not there. Options: home, java.
sub settings ($options = {}) {
    load();
    my ($library, $version) = find_library($options->{java});
    my ($home, $libraries) = find_home($options->{home});
    return {
        library => $library,
        class => $MAIN_CLASS,
        home => $home,
        options => [java_options($home, $libraries, $version)],
        binds => [$home, index("$libraries/", "$home/") == 0 ? () : $libraries],
        open_files => $OPEN_FILES,
        data => data_limit(undef),
    };
}

1;

__END__

=encoding UTF-8

=head1 NAME

PVE::OCI::JVM - a Java virtual machine in a sandboxed child of a Perl process

=head1 SYNOPSIS

    my $settings = PVE::OCI::JVM::settings();
    my $pid = PVE::OCI::JVM::start(
        $settings, $connection_fd, $log_fd, $owner_fd,
    );

=head1 DESCRIPTION

Private to L<PVE::OCI>. A virtual machine has many threads, so it can neither enter a user namespace
nor survive a fork, and a handler of C<%SIG> that runs on one of its threads crashes perl. C<start>
therefore forks: its child, in C from then on, becomes what C<pve-oci-worker> is to the daemon, with
every signal blocked. A machine is made once in such a child; libjvm is never loaded into the
caller.

The environment variable C<PVE_OCI_JAVA_OPTIONS> adds options for the machine.

Paths must consist of plain characters; tainted ones are refused by C<start>.

=head1 FUNCTIONS

=over

=item settings($options)

Finds everything. Options: C<java>, the directory of a JDK (C<JAVA_HOME>, then
F</usr/lib/jvm/default-java>, then the newest below F</usr/lib/jvm>), and C<home>, the directory of
F<pve-oci.jar> (C<PVE_OCI_HOME>, then the source tree's F<target>, then the installed one).

=item start($settings, $connection, $log, $owner)

Starts the engine and returns the pid of its supervisor, which ends with the engine's exit status,
128 and the number when it was a signal. C<$connection> is one end of a socket pair, C<$log> the end
of a pipe that takes what is written to standard error. C<$owner> is one end of another socket pair:
when it becomes readable, or its other end is closed, the engine is killed, and the supervisor ends
when nothing of it is left. Settings that L</settings($options)> does not find: C<uid_map>,
C<gid_map>, C<makes_devices>, C<only_reads>, C<keeps_groups>, C<needs_namespace>.

=item clone_mount($directory, $is_read_only)

A descriptor of a detached mount of the directory whose descriptor is given, or -1 and C<$!>.

=item block_signals(), restore_signals($mask)

The signal mask before, and back to it.

=item find_library($java)

Path of libjvm.so and the version of its JDK.

=back

=cut
