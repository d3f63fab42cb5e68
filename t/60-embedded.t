#!/usr/bin/perl
# The embedded engine: extraction without a daemon, in and outside of user namespaces, its errors beside the daemon's,
# its end in the middle of the work, and what it leaves behind.
# PVE_OCI_TEST_LEAK_COUNT: how many extractions the leak test makes (40).
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Errno qw(EINTR);
use Fcntl qw(S_ISCHR);
use File::Temp qw(tempdir);
use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use PVE::OCI;
use PVE::OCI::JVM;
use TestImage qw(entry write_image);
use TestSupport
    qw(child_of home jdks namespace_of patience process_status root status_of system_call wait_until);

use constant { CLONE_NEWUSER => 0x10000000, CLONE_NEWNS => 0x20000 };

plan(skip_all => 'needs root') if $> != 0;
my $reason = eval { PVE::OCI::JVM::settings(); 1 } ? undef : $@;
plan(skip_all => "no embedded engine: $reason") if defined($reason);

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
$ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";

my $CONFIG = { Cmd => ['/bin/sh', "tab\there"], Env => ['A=b'] };
my $IMAGE = write_image(
    "$DIRECTORY/image.tar", $CONFIG,
    entry('5', 'etc/')
        . entry('0', 'etc/motd', content => "hello\n", uid => 5, gid => 6, mode => 04755)
        . entry('2', 'link', link => 'etc/motd')
        . entry('3', 'device'),
    entry('0', 'etc/.wh.motd') . entry('0', 'etc/new', uid => 1005, content => 'x' x 10),
);

# Incompressible, so that a limit on the bandwidth makes it last.
my $SLOW = write_image(
    "$DIRECTORY/slow.tar", $CONFIG,
    join(
        '',
        map {
            entry('0', "file$_", content => join('', map { chr(rand(256)) } 1 .. 4096))
        } 1 .. 300
    ),
);

my $serial = 0;

sub new_root() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir $path or die "mkdir $path: $!\n";
    return $path;
}

sub entries_of ($path) {
    opendir(my $directory, $path) or die "opendir $path: $!\n";
    return [sort grep { !/\A\.\.?\z/ } readdir($directory)];
}

sub owner_of ($path) {
    my @status = lstat($path) or return "$!";
    return "$status[4]:$status[5]";
}

sub extract ($rootdir, %options) {
    return scalar(PVE::OCI::parse_and_extract_image($IMAGE, $rootdir, undef, \%options));
}

sub open_fds() {
    return scalar(entries_of('/proc/self/fd')->@*);
}

# Everything below a process.
sub descendants_of ($pid) {
    my @found;
    for my $directory (glob('/proc/[0-9]*')) {
        my $status = process_status($directory =~ s!.*/!!r) or next;
        push @found, $status->{Pid}, descendants_of($status->{Pid}) if $status->{PPid} == $pid;
    }
    return @found;
}

# A child that extracts the slow image; returns its pid, the pids of its supervisor and its engine, and the
# rootfs, once the first file is there. The child's last words are in the file.
sub start_slow (%options) {
    my $rootdir = new_root();
    my $words = "$rootdir.words";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        local $SIG{TERM} = sub { die "received interrupt\n" };
        eval {
            PVE::OCI::parse_and_extract_image($SLOW, $rootdir, undef,
                { bwlimit => 100, %options });
        };
        open(my $file, '>', $words) or POSIX::_exit(3);
        print $file $@;
        close($file);
        POSIX::_exit(0);
    }
    wait_until(sub { entries_of($rootdir)->@* > 2 }) or die "nothing is extracted\n";
    my $supervisor = child_of($pid);
    return ($pid, $supervisor, child_of($supervisor), $rootdir, $words);
}

sub slurp ($path) {
    open(my $file, '<', $path) or return "no file: $!";
    local $/ = undef;
    return readline($file) // '';
}

for my $jdk (jdks()) {
    subtest "extraction, $jdk" => sub {
        my $rootdir = new_root();
        my $fds = open_fds();
        is_deeply(extract($rootdir, java => $jdk), $CONFIG, 'config');
        is_deeply(entries_of($rootdir), [qw(etc link)], 'entries, without the device');
        is_deeply(entries_of("$rootdir/etc"), ['new'], 'the second layer');
        is(owner_of("$rootdir/etc/new"), '101005:100000', 'owner');
        is(owner_of($rootdir), '100000:100000', 'owner of the root directory');
        is(open_fds(), $fds, 'no descriptor is left');
        is(child_of($$), undef, 'no process is left');
    };
}

subtest 'the other methods, progress, warnings' => sub {
    is(PVE::OCI::detect_archive($IMAGE)->{format}, 'ociArchive', 'detect');
    is_deeply(PVE::OCI::inspect_image($IMAGE)->{config}, $CONFIG, 'inspect');
    is(scalar(PVE::OCI::verify_image($IMAGE)->{verified}->@*), 4, 'verify');
    my (@progress, @warnings);
    my $rootdir = new_root();
    PVE::OCI::parse_and_extract_image(
        $SLOW, $rootdir, undef,
        { bwlimit => 2000, progress => sub ($p) { push @progress, $p->{bytesRead} } },
    );
    cmp_ok(scalar(@progress), '>', 2, 'progress is told');
    extract(new_root(), on_warning => sub ($line, $warning) { push @warnings, $line });
    like("@warnings", qr/\Aentry device: deviceNode: /, 'a warning');
    open(my $archive, '<', $IMAGE) or die $!;
    opendir(my $directory, new_root()) or die $!;
    my $config = PVE::OCI::parse_and_extract_image($archive, $directory);
    is_deeply($config, $CONFIG, 'by handles');
    ok(defined(fileno($archive)) && -s $archive, 'they are still open');
};

subtest 'a privileged container' => sub {
    my $rootdir = new_root();
    extract($rootdir, id_map => []);
    is(owner_of("$rootdir/etc/new"), '1005:0', 'owner');
    ok(S_ISCHR((lstat("$rootdir/device"))[2]), 'device node');
};

subtest 'a map of several ranges' => sub {
    my $rootdir = new_root();
    my @ranges = (['0', '100000', '1000'], ['1000', '150000', '10']);
    extract(
        $rootdir,
        id_map => [
            map {
                my $type = $_;
                map { [$type, $_->@*] } @ranges
            } qw(u g)
        ]
    );
    is(owner_of("$rootdir/etc/new"), '150005:100000', 'owner');
};

# Runs code in a user namespace as PVE::LXC::Namespaces::run_in_userns does; returns what it returned or died with.
sub run_in_userns ($code) {
    pipe(my $ready, my $ready_writer) or die $!;
    pipe(my $go, my $go_writer) or die $!;
    pipe(my $result, my $result_writer) or die $!;
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        my $answer = eval {
            syscall(system_call('unshare'), CLONE_NEWUSER | CLONE_NEWNS) == 0
                or die "unshare: $!\n";
            syswrite($ready_writer, 'x');
            sysread($go, my $byte, 1);
            ($(, $)) = (0, 0);
            ($<, $>) = (0, 0);
            { value => $code->() };
        } // { error => $@ };
        print $result_writer encode_json($answer);
        close($result_writer);
        POSIX::_exit(0);
    }
    sysread($ready, my $byte, 1);
    for my $name (qw(uid_map gid_map)) {
        open(my $map, '>', "/proc/$pid/$name") or die "open $name: $!\n";
        print $map '0 100000 65536';
        close($map) or die "write $name: $!\n";
    }
    syswrite($go_writer, 'x');
    close($_) for $result_writer, $ready_writer, $go_writer;
    my $answer = do { local $/ = undef; decode_json(readline($result)) };
    waitpid($pid, 0);
    return $answer;
}

subtest 'inside a user namespace already' => sub {
    my $rootdir = new_root();
    chown(100000, 100000, $rootdir) or die $!;
    my $answer = run_in_userns(sub { extract($rootdir) });
    is_deeply($answer, { value => $CONFIG }, 'config');
    is(owner_of("$rootdir/etc/new"), '101005:100000', 'owner');
    $answer = run_in_userns(sub { extract($rootdir) });
    like($answer->{error}, qr/\Aroot directory \S+ is not empty: it holds [^\n]+\n\z/,
        'an error');
    is(run_in_userns(sub { PVE::OCI::detect_archive($IMAGE)->{format} })->{value},
        'ociArchive', 'detect');
};

subtest 'an ordinary user' => sub {
    pipe(my $result, my $writer) or die $!;
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        ($), $() = ('65534 65534', 65534);
        ($<, $>) = (65534, 65534);
        my $format = eval { PVE::OCI::detect_archive($IMAGE)->{format} } // $@;
        eval { extract($DIRECTORY) };
        print $writer "$format|$@";
        close($writer);
        POSIX::_exit(0);
    }
    close($writer);
    my $text = do { local $/ = undef; readline($result) };
    waitpid($pid, 0);
    like($text, qr/\AociArchive\|extraction is for root only, not for uid 65534; [^\n]+\n\z/,
        'may detect, not extract');
};

subtest 'where neither mounts nor namespaces are granted' => sub {
    plan(skip_all => 'no setpriv') if !-x '/usr/bin/setpriv';
    my $script = <<'END';
echo 0 > /proc/sys/user/max_user_namespaces || exit 9
exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"
END
    my @perl = ($^X, (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e');
    my $code = 'print PVE::OCI::detect_archive($ARGV[0], { mode => "embedded" })->{format}';
    open(my $output, '-|', 'unshare', '-Ur', '-m', 'sh', '-c', $script, 'sh', @perl, $code,
        $IMAGE)
        or die $!;
    is(readline($output), 'ociArchive', 'detect');
    close($output);
};

subtest 'the sandbox' => sub {
    my ($pid, $supervisor, $engine, $rootdir) = start_slow();
    my $status = process_status($engine);
    is($status->{Seccomp}, 2, 'system calls are filtered');
    is($status->{NoNewPrivs}, 1, 'no new privileges');
    is($status->{CapEff}, '000000008000001b', 'capabilities');
    is($status->{CapBnd}, '000000008000001b', 'capabilities to be got');
    like($status->{NSpid}, qr/\s1\z/, 'process 1 of its namespace');
    isnt(namespace_of($engine, $_), namespace_of($$, $_), "$_ namespace")
        for qw(user mnt pid net ipc uts);
    is(hex(substr($status->{SigCgt}, -5)) >> 14 & 1, 0, 'SIGTERM has no handler');
    is(hex(substr($status->{SigBlk}, -5)) >> 14 & 1, 1, 'SIGTERM is blocked');
    ok(!-e "/proc/$engine/root/bin", 'the tree has no programs');
    kill KILL => $pid;
    waitpid($pid, 0);
    ok(wait_until(sub { !process_status($engine) && !process_status($supervisor) }),
        'it ends with its parent');
};

my sub start_daemon() {
    my $socket = "$DIRECTORY/socket";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>', "$DIRECTORY/log") or POSIX::_exit(9);
        exec(root() . '/bin/pve-ocid', '--socket', $socket) or POSIX::_exit(9);
    }
    return ($pid, $socket) if wait_until(
        sub {
            eval { PVE::OCI::get_info({ socket => $socket }) }
        }
    );
    kill KILL => $pid;
    waitpid($pid, 0);
    return;
}

subtest 'errors are those of the daemon' => sub {
    my ($pid, $socket) = start_daemon();
    plan(skip_all => 'the daemon does not start') if !$pid;
    POSIX::mkfifo("$DIRECTORY/fifo", 0644) or die $!;
    my $bad = slurp($IMAGE);
    my $at = index($bad, 'blobs/') + 512;
    substr($bad, $at, 1) ^.= "\1";
    open(my $file, '>:raw', "$DIRECTORY/bad.tar") or die $!;
    print $file $bad;
    close($file);
    my $full = new_root();
    open($file, '>', "$full/a") or die $!;
    my @map = (['u', '0', '100000', '65536'], ['g', '0', '100000', '65536']);
    my @cases = (
        ['no archive', "$DIRECTORY/nothing"], ['a fifo', "$DIRECTORY/fifo"],
        ['no archive of any kind', $0],
        ['a damaged blob', "$DIRECTORY/bad.tar"],
        ['no rootfs', $IMAGE, rootdir => "$DIRECTORY/nothing"],
        ['a file as rootfs', $IMAGE, rootdir => $IMAGE],
        ['a full rootfs', $IMAGE, rootdir => $full],
        ['the root directory', $IMAGE, rootdir => '/'], ['the home', $IMAGE, rootdir => home()],
        ['host root mapped', $IMAGE, id_map => [['u', 0, 0, 1], ['g', 0, 0, 1]]],
        ['ids of others', $IMAGE, id_map => [['u', 0, 1000, 1], ['g', 0, 1000, 1]]],
        ['ids that overlap', $IMAGE, id_map => [@map, ['u', 5, 100010, 5]]],
        ['no gids', $IMAGE, id_map => [$map[0]]],
        ['a small map', $IMAGE, id_map => [map { [$_, 0, 100000, 3] } qw(u g)]],
        ['another architecture', $IMAGE, architecture => 's390x'],
        ['too many bytes', $IMAGE, max_bytes => 3],
        ['a proc file', '/proc/self/status'],
    );
    for my $case (@cases) {
        my ($name, $archive, %options) = $case->@*;
        my $rootdir = delete($options{rootdir}) // new_root();
        my @outcomes = map {
            eval {
                PVE::OCI::extract_image($archive, $rootdir,
                    { %options, mode => $_, socket => $socket });
            };
            { text => $@ =~ s/pid \d+//r, error => PVE::OCI::last_error() }
        } qw(daemon embedded);
        is($outcomes[1]->{text}, $outcomes[0]->{text}, $name);
        is_deeply($outcomes[1]->{error}, $outcomes[0]->{error}, "$name: parameters");
    }
    kill TERM => $pid;
    waitpid($pid, 0);
};

subtest 'an abort' => sub {
    my ($pid, $supervisor, $engine, $rootdir, $words) = start_slow();
    my $start = time();
    kill TERM => $pid;
    waitpid($pid, 0);
    note(sprintf('%.3f s from SIGTERM to the end', time() - $start));
    is(slurp($words), "received interrupt\n", 'the handler\'s own exception');
    is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
    is(owner_of($rootdir), '0:0', 'so is the owner');
    ok(!process_status($engine) && !process_status($supervisor), 'no process is left');
};

subtest 'death of the engine' => sub {
    for my $victim (1, 2) {
        my @slow = start_slow();
        my ($pid, $rootdir, $words) = @slow[0, 3, 4];
        kill KILL => $slow[$victim];
        waitpid($pid, 0);
        is(slurp($words), "worker was killed by SIGKILL\n", 'told in the daemon\'s words');
        is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
        ok(wait_until(sub { !process_status($slow[2]) && !process_status($slow[1]) }),
            'no process is left');
    }
};

subtest 'an exception of a callback' => sub {
    my $rootdir = new_root();
    eval {
        PVE::OCI::parse_and_extract_image($SLOW, $rootdir, undef,
            { bwlimit => 500, progress => sub { die { code => 7 } } });
    };
    is_deeply($@, { code => 7 }, 'reaches the caller as it is');
    is_deeply(entries_of($rootdir), [], 'what was extracted is taken back');
    is(PVE::OCI::last_error(), undef, 'it is no error of ours');
};

subtest 'SIGCHLD ignored, or reaped by others' => sub {
    for my $handler ('IGNORE', sub { 1 while waitpid(-1, POSIX::WNOHANG()) > 0 }) {
        local $SIG{CHLD} = $handler;
        is_deeply(extract(new_root()), $CONFIG, 'extracted');
        eval { PVE::OCI::detect_archive("$DIRECTORY/nothing") };
        like($@, qr/No such file/, 'an error');
    }
};

subtest 'nothing is left after many' => sub {
    my $count = $ENV{PVE_OCI_TEST_LEAK_COUNT} // 40;
    my $memory = sub () { process_status($$)->{VmRSS} =~ /(\d+)/ ? $1 : 0 };
    extract(new_root()) for 1 .. 3;
    my ($fds, $size, $start) = (open_fds(), $memory->(), time());
    extract(new_root()) for 1 .. $count;
    note(
        sprintf(
            '%d extractions, %.3f s each, %d KiB more', $count, (time() - $start) / $count,
            $memory->() - $size
        )
    );
    is(open_fds(), $fds, 'descriptors');
    is(waitpid(-1, POSIX::WNOHANG()), -1, 'children');
    cmp_ok($memory->() - $size, '<', 2048, 'memory, KiB');
};

subtest 'no virtual machine' => sub {
    my $old = "$DIRECTORY/old";
    mkdir $_ or die $! for $old, "$old/lib", "$old/lib/server";
    for my $file ('release', 'lib/server/libjvm.so') {
        open(my $handle, '>', "$old/$file") or die $!;
        print $handle qq{JAVA_VERSION="1.8.0_402"\n};
    }
    my $message = sub (%options) {
        eval { PVE::OCI::detect_archive($IMAGE, { mode => 'embedded', %options }) };
        return $@;
    };
    my $begin =
        'no Java virtual machine of version 17 or newer: looked for lib/server/libjvm.so in';
    is($message->(java => '/nonexistent'), "$begin /nonexistent\n", 'missing');
    is(PVE::OCI::last_error()->{name}, 'EngineUnavailable', 'its name');
    is($message->(java => $old), "$begin $old; $old is version 8\n", 'too old');
    local $ENV{JAVA_HOME} = $old;
    is(PVE::OCI::detect_archive($IMAGE)->{format}, 'ociArchive',
        'JAVA_HOME too old: another one');
    local @PVE::OCI::JVM::JVM_PATTERNS = ('/none', '/none*');
    is($message->(), "$begin JAVA_HOME ($old), /none, /none*; $old is version 8\n",
        'none at all');
    delete local $ENV{JAVA_HOME};
    is($message->(), "$begin JAVA_HOME (not set), /none, /none*\n", 'not even JAVA_HOME');
    is(
        $message->(mode => undef),
        "cannot connect to pve-ocid at '$DIRECTORY/none': No such file or directory; $begin"
            . " JAVA_HOME (not set), /none, /none*\n", 'nor a daemon',
    );
    is($message->(mode => 'daemon'),
        "cannot connect to pve-ocid at '$DIRECTORY/none': No such file or directory\n",
        'daemon only');
    like($message->(home => '/none', java => (jdks())[0]),
        qr/\Ano engine: looked for pve-oci.jar /, 'no jars');
    local $ENV{PVE_OCI_JAVA_OPTIONS} = '-Xmx1x';
    like($message->(java => (jdks())[0]), qr/\Aworker left with exit status 1: [^\n]+\n\z/,
        'it does not start');
};

subtest 'a second virtual machine across a fork' => sub {
    my @cc = ('cc', '-D_GNU_SOURCE', '-pthread', '-o', "$DIRECTORY/twice");
    my ($library) = PVE::OCI::JVM::find_library();
    my $include = $library =~ s{/lib/server/.*}{/include}r;
    plan(skip_all => 'no C compiler or jni.h')
        if system('sh', '-c', 'command -v cc >/dev/null') != 0 || !-e "$include/jni.h";
    my $native = root() . '/native';
    system(@cc, "-I$native", "-I$include", "-I$include/linux", "$FindBin::Bin/lib/twice.c",
        "$native/jvm.c", '-ldl') == 0
        or die "cc failed\n";
    my $output = qx($DIRECTORY/twice $library 2>/dev/null);
    is($output,
        "create Java virtual machine: this process, or one that it was forked from, has had one already\n",
        'is refused');
};

subtest 'taint mode' => sub {
    my $rootdir = new_root();
    my $code = 'print PVE::OCI::parse_and_extract_image(@ARGV)->{Cmd}->[0]';
    local $ENV{PATH} = '/usr/bin:/bin';
    local $ENV{JAVA_HOME} = (jdks())[0];
    open(my $output, '-|', $^X, '-T', (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e', $code,
        $IMAGE, $rootdir)
        or die $!;
    is(readline($output), '/bin/sh', 'tainted paths are taken');
    close($output);
    local $ENV{JAVA_HOME} = '/usr/lib/jvm/$(x)';
    open($output, '-|', $^X, '-T', (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e', $code,
        $IMAGE, new_root())
        or die $!;
    is(readline($output), '/bin/sh', 'an odd JAVA_HOME is passed over');
    close($output);
};

subtest 'the command' => sub {
    my @program = ($^X, '-T', root() . '/bin/pve-oci');
    local $ENV{PATH} = '/usr/bin:/bin';
    my $rootdir = new_root();
    is(system("@program extract --embedded -q $IMAGE $rootdir >/dev/null"), 0,
        'extract --embedded');
    is_deeply(entries_of($rootdir), [qw(etc link)], 'extracted');
    is(system("@program detect --daemon $IMAGE 2>/dev/null") >> 8, 69, 'detect --daemon');
    is(system("@program detect $IMAGE >/dev/null"), 0, 'detect by what there is');
    is(system("@program detect --daemon --embedded $IMAGE 2>/dev/null") >> 8, 2, 'both');
};

subtest 'which is used' => sub {
    eval { PVE::OCI::detect_archive($IMAGE, { socket => "$DIRECTORY/none" }) };
    like($@, qr/\Acannot connect/, 'a named socket: the daemon');
    eval { PVE::OCI::detect_archive($IMAGE, { mode => 'x' }) };
    like($@, qr/\Amode is neither 'daemon' nor 'embedded': 'x'\n\z/, 'another mode');
};

subtest 'the module re-exported for pve-container' => sub {
    my $rootdir = new_root();
    chown(100000, 100000, $rootdir) or die $!;
    local @INC = (root() . '/examples', @INC);
    require PVE::RS::OCI;
    my $answer =
        run_in_userns(sub { scalar(PVE::RS::OCI::parse_and_extract_image($IMAGE, $rootdir)) });
    is_deeply($answer, { value => $CONFIG }, 'config');
};

done_testing();
