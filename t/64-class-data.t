#!/usr/bin/perl
# Class-data archives of every JDK here: daemon, worker and embedded engine run with them, and also
# with those that fit neither the jars nor the JVM. In no case does a JVM say a word about it.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::OCI;

use EmbeddedTest qw($CONFIG $IMAGE extract new_root plan_embedded);
use TestSupport qw(home jdks root wait_until);

plan_embedded();

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY);

sub run (@command) {
    system(@command) == 0 or die "@command: $?\n";
    return;
}

sub read_file ($path) {
    open(my $file, '<', $path) or return '';
    local $/ = undef;
    return <$file> // '';
}

# A tree of its own for a JDK, so that jars and archives may be what a test wants.
sub tree_for ($jdk) {
    my $tree = "$DIRECTORY/" . $jdk =~ s{.*/}{}r;
    mkdir $_ for $tree, "$tree/bin", "$tree/target";
    run('cp', root() . '/bin/pve-ocid', "$tree/bin");
    run('cp', '-rp', (map { home() . "/$_" } qw(pve-oci.jar lib native)), "$tree/target");
    run(root() . '/bin/pve-oci-class-data', "$tree/target", $jdk);
    return $tree;
}

sub output_of ($jdk, $tree, $option) {
    local $ENV{JAVA_HOME} = $jdk;
    return `$tree/bin/pve-ocid $option 2>&1`;
}

# Its worker writes to a file of its own: the daemon takes only some of it into its log.
sub launcher_for ($tree) {
    open(my $file, '>', "$tree/launcher") or die "launcher: $!\n";
    print {$file} "#!/bin/sh\n",
        qq(exec "$tree/target/native/pve-oci-worker" "\$@" 2>>"$tree/worker-log"\n);
    close($file) or die "launcher: $!\n";
    chmod(0755, "$tree/launcher") or die "launcher: $!\n";
    return "$tree/launcher";
}

sub extract_by_daemon ($jdk, $tree, @options) {
    my $socket = "$tree/socket";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        local $ENV{JAVA_HOME} = $jdk;
        open(STDERR, '>', "$tree/log") or POSIX::_exit(99);
        open(STDOUT, '>&', \*STDERR) or POSIX::_exit(99);
        exec(
            "$tree/bin/pve-ocid", '--config', '/dev/null', '--socket', $socket,
            '--worker-socket', "$tree/worker", @options
        ) or POSIX::_exit(98);
    }
    my $config = eval {
        wait_until(sub { -S $socket });
        PVE::OCI::parse_and_extract_image(
            $IMAGE, new_root(), undef,
            { socket => $socket, mode => 'daemon' }
        );
    };
    my $error = $@;
    wait_until(sub { read_file("$tree/log") =~ /worker warmed/ })
        if !$error && grep { $_ eq '--verbose' } @options;
    kill TERM => $pid;
    waitpid($pid, 0);
    die $error if $error;
    return $config;
}

sub extract_embedded ($jdk, $tree) {
    local $ENV{PVE_OCI_HOME} = "$tree/target";
    open(my $stderr, '>&', \*STDERR) or die "stderr: $!\n";
    open(STDERR, '>', "$tree/stderr") or die "stderr: $!\n";
    my $config = eval { extract(new_root(), java => $jdk) };
    my $error = $@;
    open(STDERR, '>&', $stderr) or die "stderr: $!\n";
    die $error if $error;
    return $config;
}

sub quiet ($jdk, $tree, $what) {
    my $version = output_of($jdk, $tree, '--version');
    like($version, qr/\Apve-ocid [\d.]+\n\z/, "$what: only what was asked for");
    is_deeply(
        extract_by_daemon($jdk, $tree, '--spares', 0),
        $CONFIG, "$what: by the daemon"
    );
    unlike(read_file("$tree/log"), qr/^(?!<6>)/m, "$what: nothing to complain of in its log");
    is_deeply(extract_embedded($jdk, $tree), $CONFIG, "$what: embedded");
    is(read_file("$tree/stderr"), '', "$what: nothing on standard error");
    return;
}

my @jdks = jdks();
my %tree;
for my $jdk (@jdks) {
    subtest $jdk => sub {
        $tree{$jdk} = tree_for($jdk);
        my $tree = $tree{$jdk};
        is(scalar(my @archives = glob("$tree/target/*.jsa")), 3, 'three archives');
        local $ENV{PVE_OCID_JAVA_OPTIONS} = '-Xlog:class+load=info:stdout';
        like(
            output_of($jdk, $tree, '--version'),
            qr/pve\.oci\.daemon\.DaemonMain source: shared objects file \(top\)/,
            'they are used'
        );
        $ENV{PVE_OCID_JAVA_OPTIONS} = "-Xlog:class+load:file=$tree/classes";
        extract_by_daemon($jdk, $tree);
        # but for those of the flight recorder, and what only a thread needs that has to wait
        my @others = grep { !/ jdk\.internal\.event\.| jdk\.jfr\./ }
            read_file("$tree/classes") =~ /^.* source: (?:file|jrt):.*$/mg;
        cmp_ok(@others, '<', 5, 'nearly all classes of an extraction are from the archive')
            or diag(join("\n", @others));
        delete local $ENV{PVE_OCID_JAVA_OPTIONS};
        extract_by_daemon(
            $jdk, $tree, '--verbose', '--launcher', launcher_for($tree),
            '--worker-option', '-Xlog:class+load:stderr'
        );
        # to warm up it extracts, and writes a record in zstd
        @others =
            grep { !/ jdk\.internal\.event\./ }
            read_file("$tree/worker-log") =~
            /^.* source: (?:file|jrt|__JVM_LookupDefineClass__).*$/mg;
        cmp_ok(@others, '<', 30, 'nearly all classes of two workers, too')
            or diag(join("\n", @others[0 .. 29]));
        unlike(
            read_file("$tree/worker-log"),
            qr/__dynamic_proxy__/, 'and none is made for an annotation'
        );
        quiet($jdk, $tree, 'fitting');
        utime(undef, undef, "$tree/target/pve-oci.jar");
        quiet($jdk, $tree, 'jar newer than the archives');
    };
}

SKIP: {
    skip('there is one JDK only', 1) if @jdks < 2;
    for my $i (0 .. $#jdks) {
        my ($jdk, $other) = @jdks[$i, $i - 1];
        run('cp', glob("$tree{$other}/target/*.jsa"), "$tree{$jdk}/target");
        quiet($jdk, $tree{$jdk}, "$jdk with archives of $other");
    }
}

done_testing();
