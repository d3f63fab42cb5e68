# SandboxProbe in a worker's place: compiles it, starts it in the sandbox, has it make system calls.
package Probe;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use TestSupport qw(ask errno_name home jdks root start_worker system_call);

our @EXPORT_OK = qw(MAP call directory log_file next_path plan_probe probe_of ready_probe);

use constant MAP => '0 100000 65536';

my ($directory, $jna, $native);
my $serial = 0;

# Everything that is made goes here. Readable by the worker's ids, unlike what tempdir makes.
sub directory() {
    return $directory;
}

sub log_file() {
    return "$directory/log";
}

# A path that nothing has yet.
sub next_path ($name) {
    return "$directory/$name" . $serial++;
}

my sub build() {
    mkdir "$directory/$_" or die "mkdir $_: $!\n" for qw(classes native);
    my $source = root() . '/java/src/test/java/pve/oci/worker/SandboxProbe.java';
    my @javac = ('javac', '--release', '17', '-cp', $jna, '-d', "$directory/classes", $source);
    system(@javac) == 0 or die "javac failed\n";
    chdir("$directory/native") or die "chdir: $!\n";
    $native = 'com/sun/jna/linux-' . (POSIX::uname())[4] =~ s/_/-/r;
    system('jar', 'xf', $jna, "$native/libjnidispatch.so") == 0 or die "jar failed\n";
    chdir('/') or die "chdir: $!\n";
    return;
}

# Skips the whole test where it cannot run, builds the probe where it can.
sub plan_probe() {
    $jna = (glob(home() . '/lib/jna-[0-9]*.jar'))[0];
    plan skip_all => 'needs root' if $> != 0;
    plan skip_all => 'the launcher is not built' if !-x home() . '/native/pve-oci-worker';
    plan skip_all => 'target/lib has no JNA' if !defined($jna);
    plan skip_all => 'no JDK found' if !jdks();
    $directory = tempdir(CLEANUP => 1);
    chmod(0755, $directory) or die "chmod $directory: $!\n";
    build();
    return;
}

sub probe_of ($jdk, %worker) {
    my @jvm_options = (
        "-Djava.class.path=$jna:$directory/classes",
        "-Djna.boot.library.path=$directory/native/$native",
        '-Dsun.java.launcher=SUN_STANDARD',
        '--enable-native-access=ALL-UNNAMED',
        '-Xmx64m',
    );
    return start_worker(
        jdk => $jdk,
        socket => next_path('socket'),
        log => log_file(),
        bind => ["$directory/classes", "$directory/native"],
        class => 'pve/oci/worker/SandboxProbe',
        jvm_options => \@jvm_options,
        %worker,
    );
}

# A ready probe, or none and a failed test.
sub ready_probe ($jdk, %worker) {
    my $probe = probe_of($jdk, %worker);
    is(ask($probe, ''), 'ready 1', 'the worker is process 1 of its namespace')
        or diag(`cat $directory/log`);
    return $probe;
}

# The result of a system call in the worker: errno's name, or "= number".
sub call ($probe, $name, @arguments) {
    my @words = map { /^-?\d+$/ ? "n:$_" : /^[sz]:/ ? $_ : "s:$_" } @arguments;
    my $line = join(' ', 'call', system_call($name), @words);
    my $answer = ask($probe, $line) // 'connection lost';
    return $answer =~ /^-1 (\d+)$/ ? errno_name($1) : "= $answer";
}

1;
