#!/usr/bin/perl
# The embedded engine: extraction without a daemon, in and outside of user namespaces, its sandbox,
# who uses it and how.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Fcntl qw(S_ISCHR);
use JSON;
use POSIX ();
use Test::More;

use PVE::OCI;

use EmbeddedTest qw(
    $CONFIG $DIRECTORY $IMAGE $SLOW entries_of extract new_root open_fds owner_of plan_embedded
    start_slow
);
use TestImage qw(entry write_image);
use TestSupport
    qw(child_of jdks namespace_of process_status root settings_file system_call wait_until);

plan_embedded();

use constant { CLONE_NEWUSER => 0x10000000, CLONE_NEWNS => 0x20000 };

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

# What takes Perl's regular expressions longest: strings of escapes, and of what counts as a value.
subtest 'a configuration of the largest size' => sub {
    my $label = ('"' x 1_000_000) . (',[{1e5' x 300_000);
    my $archive = write_image(
        "$DIRECTORY/large.tar", { Cmd => ['x'], Labels => { a => $label } },
        entry('0', 'file', content => 'x'),
    );
    my @warnings;
    local $SIG{__WARN__} = sub ($line) { push @warnings, $line };
    my $reply = eval { PVE::OCI::inspect_image($archive, { mode => 'embedded' }) };
    is($@, '', 'inspected');
    is_deeply(\@warnings, [], 'without a warning');
    is(length($reply->{config}->{Labels}->{a} // ''), length($label), 'all of it');
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

# Runs code in a user namespace as PVE::LXC::Namespaces::run_in_userns does; returns what it
# returned or died with.
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
        } // { error => "$@" };
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
    like(
        $answer->{error}, qr/\Aroot directory \S+ is not empty: it holds [^\n]+\n\z/,
        'an error'
    );
    is(
        run_in_userns(sub { PVE::OCI::detect_archive($IMAGE)->{format} })->{value},
        'ociArchive', 'detect'
    );
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
    like(
        $text, qr/\AociArchive\|extraction is for root only, not for uid 65534; [^\n]+\n\z/,
        'may detect, not extract'
    );
};

subtest 'where neither mounts nor namespaces are granted' => sub {
    plan(skip_all => 'no setpriv') if !-x '/usr/bin/setpriv';
    my $script = <<'END';
echo 0 > /proc/sys/user/max_user_namespaces || exit 9
exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"
END
    my @perl = ($^X, (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e');
    my $code = 'print PVE::OCI::detect_archive($ARGV[0], { mode => "embedded" })->{format}';
    open(
        my $output, '-|', 'unshare', '-Ur', '-m', 'sh', '-c', $script, 'sh', @perl, $code,
        $IMAGE
    ) or die $!;
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
    ok(
        wait_until(sub { !process_status($engine) && !process_status($supervisor) }),
        'it ends with its parent'
    );
};

subtest 'taint mode' => sub {
    my $rootdir = new_root();
    my $code = 'print PVE::OCI::parse_and_extract_image(@ARGV)->{Cmd}->[0]';
    local $ENV{PATH} = '/usr/bin:/bin';
    local $ENV{JAVA_HOME} = (jdks())[0];
    open(
        my $output, '-|', $^X, '-T', (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e', $code,
        $IMAGE, $rootdir
    ) or die $!;
    is(readline($output), '/bin/sh', 'tainted paths are taken');
    close($output);
    local $ENV{JAVA_HOME} = '/usr/lib/jvm/$(x)';
    open(
        $output, '-|', $^X, '-T', (map { "-I$_" } @INC[0 .. 1]), '-MPVE::OCI', '-e', $code,
        $IMAGE, new_root()
    ) or die $!;
    is(readline($output), '/bin/sh', 'an odd JAVA_HOME is passed over');
    close($output);
};

subtest 'the command' => sub {
    my @program = ($^X, '-T', root() . '/bin/pve-oci');
    local $ENV{PATH} = '/usr/bin:/bin';
    my $rootdir = new_root();
    is(
        system("@program extract --embedded -q $IMAGE $rootdir >/dev/null"), 0,
        'extract --embedded'
    );
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

subtest "the administrator's settings hold for it too" => sub {
    for my $case (
        ['maximum-size = 3', qr/limit/], ['maximum-entries = 1', qr/limit/],
        ['maximum-json-size = 1K', qr/limit|\A\z/], ['hang = 0', qr/hang cannot be '0'/],
    ) {
        my ($line, $expected) = $case->@*;
        local $PVE::OCI::Settings::FILE = settings_file($line);
        eval { extract(new_root()) };
        like($@, $expected, $line);
    }
    my $program = root() . '/bin/pve-ocid';
    my @lines = grep { /\A#[a-z-]+ = / } split(/\n/, qx($program --print-config));
    my $defaults = settings_file(map { s/\A#//r } @lines);
    local $PVE::OCI::Settings::FILE = $defaults;
    my $config = extract(new_root(), mode => 'embedded');
    is_deeply($config, $CONFIG, 'every key may be in the file');
    my @map = map { [$_, 0, 3_000_000, 65536] } qw(u g);
    eval { extract(new_root(), mode => 'embedded', id_map => \@map) };
    like($@, qr/is not within root's ranges/, 'an ID map of others');
    $PVE::OCI::Settings::FILE = settings_file('allow-any-id-map = yes');
    is_deeply(extract(new_root(), id_map => \@map), $CONFIG, 'allow-any-id-map');
};

subtest 'it is said when it stands in for the daemon' => sub {
    my @said;
    local $SIG{__WARN__} = sub ($line) { push @said, $line };
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    my $line = "cannot connect to pve-ocid at '$ENV{PVE_OCI_SOCKET}': No such file or directory"
        . '; using the embedded engine instead';
    PVE::OCI::detect_archive($IMAGE);
    is_deeply(\@said, ["$line\n"], 'by a warning');
    @said = ();
    PVE::OCI::detect_archive($IMAGE, { on_fallback => sub ($text) { push @said, $text } });
    is_deeply(\@said, [$line], 'or to the function that wants to know');
    @said = ();
    PVE::OCI::detect_archive($IMAGE, { mode => 'embedded' });
    delete local $ENV{PVE_OCI_SOCKET};
    PVE::OCI::detect_archive($IMAGE)
        if !-e '/usr/sbin/pve-ocid';
    is_deeply(\@said, [], 'not when it is wanted, nor where no daemon is installed');
    local $PVE::OCI::Settings::FILE = settings_file('daemon-only = yes');
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    eval { PVE::OCI::detect_archive($IMAGE) };
    like($@, qr/; the embedded engine is not used instead/, 'daemon-only');
};

done_testing();
