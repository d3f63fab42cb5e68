#!/usr/bin/perl
# The launcher and the Perl bridge, built with AddressSanitizer and UndefinedBehaviorSanitizer:
# their own tests once more, and the launcher with random arguments. PVE_OCI_TEST_FUZZ_SECONDS: for
# how long (5).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM sockaddr_un);
use Test::More;
use Time::HiRes qw(time);

use TestSupport qw(home jdks root status_of);

# Neither sanitizer may miss the first fault, and the virtual machine keeps SIGSEGV for itself. What
# Perl does not free at its end is no leak of ours.
$ENV{ASAN_OPTIONS} = join(
    ':', qw(handle_segv=0 allow_user_segv_handler=1 detect_leaks=0 use_sigaltstack=0),
    qw(abort_on_error=0 exitcode=99),
);
$ENV{UBSAN_OPTIONS} = 'print_stacktrace=1:halt_on_error=1:exitcode=99';

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';
my ($JDK) = jdks() or plan(skip_all => 'no JDK found');

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my @CC = ('CC=gcc -fsanitize=address,undefined -fno-sanitize-recover=all -U_FORTIFY_SOURCE');
chomp(my $ASAN = `gcc -print-file-name=libasan.so`);
plan(skip_all => 'gcc has no sanitizers') if $ASAN !~ m{\A/};

my sub run_quietly (@command) {
    my $log = "$DIRECTORY/command.log";
    open(my $output, '>', $log) or die "open $log: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDOUT, '>&', $output) or POSIX::_exit(98);
        open(STDERR, '>&', $output) or POSIX::_exit(98);
        exec(@command) or POSIX::_exit(98);
    }
    waitpid($pid, 0);
    my $status = $?;
    open(my $input, '<', $log) or die "open $log: $!\n";
    return (
        $status,
        do { local $/ = undef; readline($input) // '' }
    );
}

my sub built ($what, @arguments) {
    my ($status, $output) = run_quietly('make', '-s', '-C', @arguments, @CC);
    is($status, 0, "$what is built") or diag($output);
    return $status == 0;
}

my sub passes ($test, @command) {
    my ($status, $output) = run_quietly(@command);
    is($status, 0, "$test passes") or diag($output);
    unlike($output, qr/Sanitizer|runtime error/, "$test: no fault is found");
    return;
}

# A home with this launcher, and what its tests want from one besides.
my $HOME = "$DIRECTORY/home";
system('mkdir', '-p', "$HOME/lib", "$HOME/native") == 0 or die "mkdir failed\n";
system('cp', glob(home() . '/lib/jna-[0-9]*.jar'), "$HOME/lib") == 0 or die "cp failed\n";
my $LAUNCHER = "$HOME/native/pve-oci-worker";

subtest 'launcher' => sub {
    built('launcher', root() . '/native', "OUT=$HOME/native", "JDK=$JDK") or return;
    local $ENV{PVE_OCI_HOME} = $HOME;
    local $ENV{PVE_OCI_TEST_JDKS} = $JDK;
    local $ENV{PVE_OCI_TEST_SANITIZERS} = 1;
    passes($_, $^X, "$FindBin::Bin/$_") for qw(05-sandbox.t 06-launcher.t);
};

# A copy of the tree, because the module looks for its C part beside itself. The sanitizers' shadow
# memory counts as data, 16 TiB of it: without the limit.
subtest 'bridge' => sub {
    my $tree = "$DIRECTORY/tree";
    mkdir($tree) or die "mkdir: $!\n";
    system('cp', '-rL', (map { root() . "/$_" } qw(bin examples native perl t)), $tree) == 0
        or die "cp failed\n";
    my $module = "$tree/perl/lib/PVE/OCI/JVM.pm";
    system($^X, '-pi', '-e', 's/^sub data_limit .*\K/ return 0;/', $module) == 0
        or die "perl failed\n";
    built('bridge', "$tree/perl/xs", "OUT=$tree/target", "JDK=$JDK") or return;
    local $ENV{PVE_OCI_HOME} = home();
    local $ENV{PVE_OCI_TEST_JDKS} = $JDK;
    local $ENV{LD_PRELOAD} = $ASAN;
    passes('60-embedded.t', $^X, "$tree/t/60-embedded.t");
};

my @WORDS = (
    '', '-', '--', '---', '/', '//', '.', '..', '/etc', '/proc', '/proc/self/fd', '/dev/null',
    $DIRECTORY,
    "$DIRECTORY/socket", '@', '@x', '0 100000 65536', '0 0 1', '0 100000 1,1 200000 1', ',',
    ' ', '1', '0', '-1',
    '4096', '99999999999999999999', '0x10', '18446744073709551615', "\xff\xfe", '%n%s',
    'pve/oci/None',
    '-Xmx64m', '-Xfoo', "$JDK/lib/server/libjvm.so", 'libz.so.1', ('x' x 5000),
    '/' . ('y' x 4094),
    '/' . ('y/' x 2100), '/dev/../' x 200,
);
my @OPTIONS = qw(socket jvm home bind uidmap gidmap nofile class only-reads data unknown s so soc);

my sub random_arguments() {
    my @arguments;
    # half of them begin as they should, or nothing but the reading of options would be tried
    if (rand() < 0.5) {
        @arguments = (
            '--socket', "$DIRECTORY/socket", '--jvm', "$JDK/lib/server/libjvm.so", '--home',
            $HOME,
            '--class', 'pve/oci/None',
        );
    }
    for (1 .. rand(12)) {
        my $word = $WORDS[rand(@WORDS)];
        my $option = '--' . $OPTIONS[rand(@OPTIONS)];
        push @arguments, rand() < 0.2 ? $word : rand() < 0.2 ? "$option=$word" : ($option, $word);
    }
    return @arguments, rand() < 0.1 ? (('--bind', '/usr') x rand(60)) : ();
}

subtest 'random arguments' => sub {
    plan(skip_all => 'not built') if !-x $LAUNCHER;
    socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
    bind($listener, sockaddr_un("$DIRECTORY/socket")) or die "bind: $!\n";
    listen($listener, 4096) or die "listen: $!\n";
    my $seed = time();
    srand($seed);
    my ($count, $end) = (0, time() + ($ENV{PVE_OCI_TEST_FUZZ_SECONDS} // 5));
    while (time() < $end) {
        my @arguments = random_arguments();
        my ($status, $output) =
            run_quietly('timeout', '-s', 'KILL', 120, $LAUNCHER, @arguments);
        $count++;
        # the sanitizer's own memory is more than --data allows
        next if $output =~ /^ERROR: Failed to mmap$/m && grep { /\A--data/ } @arguments;
        next if $status >> 8 == 1 && $output !~ /Sanitizer|runtime error/ && $output =~ /^<3>/m;
        fail("seed $seed, try $count: " . status_of($status));
        diag(join(' ', map { "'$_'" } @arguments), "\n$output");
        last;
    }
    pass("$count tries: each ends with a line that says why");
};

done_testing();
