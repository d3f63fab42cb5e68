# /.pve.init, built for each architecture, in a rootfs that holds nothing but a program that dumps
# what it was started with.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use POSIX ();
use Test::More;
use Time::HiRes ();

use InitRootfs;
use PVE::OCI::Env;

if (my $missing = InitRootfs::missing()) {
    plan(skip_all => $missing);
}

# Which program runs executables of an architecture here, if not the kernel.
my $EMULATORS = { amd64 => 'qemu-x86_64-static', arm64 => 'qemu-aarch64-static' };
my $HOSTNAME = 'HOSTNAME=' . (POSIX::uname())[1];
my ($MACHINE) = qx(uname -m) =~ /(\S+)/;
my $NATIVE = { x86_64 => 'amd64', aarch64 => 'arm64' }->{$MACHINE} // '';

sub write_file ($path, $content) {
    unlink($path);
    open(my $handle, '>:raw', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
}

# Runs a command in the rootfs as process 1 of a namespace, or just so if it has arguments; returns
# exit code, what it said, and what was dumped.
sub run_init ($rootdir, $emulator, $arguments, %inherited) {
    open(my $truncated, '>', "$rootdir/out") or die $!;
    my $pid = open(my $pipe, '-|') // die $!;
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT) or die $!;
        %ENV = %inherited;
        my @command = ($emulator // (), '/.pve.init', $arguments->@*);
        my @options = $arguments->@* ? () : qw(--pid --fork);
        exec('/usr/bin/unshare', @options, "--root=$rootdir", '--wd=/work', @command)
            or POSIX::_exit(99);
    }
    my $said = do { local $/ = undef; <$pipe> }
        // '';
    close($pipe);
    return ($? >> 8, $said, InitRootfs::dumped($rootdir));
}

my $ODD = [
    '  a  b ', 'a"b', "a'b", q{"'"'}, '$HOME ${X} $(id)', '*', '', '\\n\\\\', 'a;b|c&d>e',
    "a\tb", "a\nb",
    "\xc3\xa4\xf0\x9f\x98\x80", "\xff\xfe", 'x' x 65536, '=a=b=', '--x', '#',
];

for my $arch (sort keys $EMULATORS->%*) {
    my $init = InitRootfs::build_init($arch);
    my ($emulator) = $arch eq $NATIVE ? () : grep { -x $_ } "/usr/bin/$EMULATORS->{$arch}";
SKIP: {
        skip("no compiler for $arch", 1) if !defined($init);
        skip("nothing to run $arch with", 1) if $arch ne $NATIVE && !defined($emulator);
        subtest "built for $arch" => sub { test_init($init, $emulator) };
    }
}

sub test_init ($init, $emulator) {
    my $rootdir = InitRootfs::create();
    system('cp', $init, "$rootdir/.pve.init") == 0 or die;
    if (defined($emulator)) {
        system('cp', $emulator, "$rootdir/bin/emulator") == 0 or die;
        $emulator = '/bin/emulator';
    }
    cmp_ok(-s $init, '<', 12 * 1024, 'smaller than 12 KiB');
    my $start = sub ($data, %inherited) {
        write_file("$rootdir/.pve.env", ref($data) ? PVE::OCI::Env::encode($data) : $data);
        return run_init($rootdir, $emulator, [], %inherited);
    };

    my @variables = (
        (map { "V$_=$ODD->[$_]" } 0 .. $ODD->$#*), 'a.b=1', 'X-Y=2', 'E=',
        map { "N$_=$_" } 1 .. 1000
    );
    my ($code, $said, $got) = $start->(
        { command => ['/bin/dump', $ODD->@*], variables => [@variables, 'TERM=image'] },
        container => 'lxc', TERM => 'linux',
    );
    is("$code|$said", '7|', 'exit code of the command, no word');
    is_deeply($got->{argv}, ['/bin/dump', $ODD->@*], 'odd arguments, byte for byte');
    is_deeply(
        [sort $got->{env}->@*],
        [sort @variables, 'TERM=image', 'container=lxc', $HOSTNAME],
        'odd variables; those of LXC do not win over them'
    );
    is($got->{cwd}, '/work', 'working directory stays');
    is($got->{pid}, 1, 'the command is process 1');
    is($got->{ids} =~ s/ .*//r, '0', 'user stays');

    ($code, $said, $got) =
        $start->({ command => ['/bin/dump'], uid => 1000, gid => 1001, groups => [10, 20] });
    is($got->{ids}, '1000 1001 10 20', 'becomes the user');
    ($code, $said, $got) = $start->({ command => ['/bin/dump'], uid => 1000, gid => 1001 });
    is($got->{ids}, '1000 1001', 'without groups');

    test_commands($rootdir, $start);
    test_precedence($rootdir, $start);
    test_beside($rootdir, $emulator, $start);
    test_init_mode($start);
    test_sizes($rootdir, $start, $emulator);
    test_damage($rootdir, $start, $emulator);
    return;
}

sub write_program ($path, $content, $mode = 0755) {
    write_file($path, $content);
    chmod($mode, $path) or die $!;
}

# An ELF executable for x86-64 whose dynamic loader is not there.
sub program_without_loader() {
    my $loader = "/lib/none.so.1\0";
    my $header = pack(
        'a4 C5 x7 S2 L Q3 L S6', "\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, 0x400000, 64, 0, 0,
        64, 56, 2, 0, 0, 0
    );
    my $program = pack('L2 Q6', 1, 5, 0, 0x400000, 0x400000, 200, 200, 0x1000);
    my $interpreter =
        pack('L2 Q6', 3, 4, 176, 0x4000b0, 0x4000b0, length($loader), length($loader), 1);
    return $header . $program . $interpreter . $loader . "\0" x 32;
}

sub test_commands ($rootdir, $start) {
    write_program("$rootdir/work/dump", 'not executable', 0644);
    write_program("$rootdir/bin/text", "neither ELF nor #!\n");
    write_program("$rootdir/bin/empty", '');
    write_program("$rootdir/bin/noloader", program_without_loader());
    write_program("$rootdir/bin/nointerp", "#! /none/python3 -u\n");
    write_program("$rootdir/bin/crlf", "#!/bin/sh\r\necho\r\n");
    system('cp', "$rootdir/bin/dump", "$rootdir/work/run") == 0 or die;
    my $no_interpreter = 'nointerp: the interpreter in its first line, /none/python3, is not found';
    my $mode = '/work/dump is not executable, its mode is 0644';
    for my $case (
        ['PATH=/none:/bin', 'dump', 7, ''], ['PATH=/none', 'dump', 127, "dump: not found"],
        [
            'PATH=', 'dump', 126,
            'dump: Permission denied: ./dump is not executable, its mode is 0644'
        ],
        ['A=b', 'dump', 7, ''], ['PATH=/bin', 'nothing', 127, 'nothing: not found'],
        ['PATH=/bin', '', 127, 'the command is an empty string: not found'],
        ['PATH=/work:/bin', 'dump', 7, ''],
        ['PATH=/work', 'dump', 126, "dump: Permission denied: $mode"],
        ['PATH=/bin', '/work/dump', 126, "/work/dump: Permission denied: $mode"],
        ['PATH=/bin', '/bin', 126, '/bin: Permission denied: /bin is a directory'],
        ['PATH=/bin', '/none', 127, '/none: not found'], ['PATH=/bin', '../bin/dump', 7, ''],
        ['PATH=/bin', './run', 7, ''],
        ['PATH=/bin', '/out/x', 127, '/out/x: Not a directory'],
        [
            'PATH=/bin', '/bin/text', 126,
            '/bin/text: Exec format error: it is neither a program'
                . ' nor a script, whose first line begins with #!',
        ],
        ['PATH=/bin', 'empty', 126, 'empty: Exec format error: the file is empty'],
        ['PATH=/bin', '/bin/nointerp', 127, "/bin/$no_interpreter"],
        ['PATH=/none:/bin:/work', 'nointerp', 127, $no_interpreter],
        [
            'PATH=/bin', '/bin/crlf', 127,
            '/bin/crlf: the interpreter in its first line, /bin/sh,'
                . ' is not found: the line ends with CR LF, convert the file to LF',
        ],
        ['PATH=' . 'x' x 5000 . ':/bin', 'dump', 7, ''],
    ) {
        my ($path, $command, $expected, $message) = $case->@*;
        my ($code, $said) = $start->({ command => [$command], variables => [$path] });
        $message = "/.pve.init: $message\n" if $message ne '';
        is("$code|$said", "$expected|$message", "'$command' in " . substr($path, 0, 20));
    }
    if ($NATIVE eq 'amd64') {
        write_program("$rootdir/bin/script", "#!/bin/noloader -x\n");
        write_program("$rootdir/bin/notexec", "#!/work/dump\n");
        my $needs = 'needs a file that is not found, the dynamic loader /lib/none.so.1';
        for my $case (
            ['/bin/noloader', 127, "it $needs"],
            ['/bin/script', 127, "its interpreter /bin/noloader $needs"],
            [
                'notexec', 126,
                'Permission denied: the interpreter in its first line, /work/dump,'
                    . ' is not executable',
            ],
        ) {
            my ($command, $expected, $message) = $case->@*;
            my ($code, $said) = $start->({ command => [$command], variables => ['PATH=/bin'] });
            is("$code|$said", "$expected|/.pve.init: $command: $message\n", $command);
        }
    }
    my ($code, $said) = $start->({ command => [] });
    is("$code|$said", "126|/.pve.init: /.pve.env holds no command\n", 'no command');
    return;
}

sub test_precedence ($rootdir, $start) {
    my ($code, $said, $got) = $start->(
        {
            command => ['/bin/dump'],
            variables => ['A=image', 'PATH=/image', 'TERM=image', 'E='],
            directory => '/bin',
        },
        A => 'admin', B => 'admin', TERM => 'linux', container => 'lxc', container_ttys => 'x',
        HOSTNAME => 'admin', E => 'admin',
    );
    is_deeply(
        [sort $got->{env}->@*],
        [
            'A=admin', 'B=admin', 'E=admin', 'HOSTNAME=admin', 'PATH=/image', 'TERM=image',
            'container=lxc', 'container_ttys=x',
        ],
        'the administrator wins over the image, and the image over LXC'
    );
    is($got->{cwd}, '/work', 'where LXC has put it');
    ($code, $said, $got) =
        $start->({ command => ['/bin/dump'], variables => ['TERM=image'] }, TERM => 'vt100');
    ok(scalar(grep { $_ eq 'TERM=vt100' } $got->{env}->@*), 'TERM of the administrator');
    return;
}

sub test_beside ($rootdir, $emulator, $start) {
    my $data = {
        command => ['/bin/false'], variables => ['A=image', 'PATH=/none:/bin', 'HOME=/h'],
        directory => '/bin', uid => 5, gid => 6, groups => [7],
    };
    write_file("$rootdir/.pve.env", PVE::OCI::Env::encode($data));
    unlink("$rootdir/dev/.pve.env"); # of process 1 in the cases before
    my %host =
        (PATH => '/host', HOME => '/root', USER => 'root', A => 'host', B => 'host', PWD => '/x');
    my $beside = sub (@arguments) { run_init($rootdir, $emulator, \@arguments, %host) };
    my ($code, $said, $got) = $beside->('dump', 'a b');
    is("$code|$said", '7|', 'a command beside process 1');
    is_deeply($got->{argv}, ['dump', 'a b'], '... its arguments');
    is_deeply(
        [sort $got->{env}->@*],
        [sort 'A=image', 'B=host', 'HOME=/h', 'PATH=/none:/bin', $HOSTNAME],
        '... the environment is the image\'s'
    );
    is($got->{cwd}, '/bin', '... in its directory');
    is($got->{ids}, '5 6 7', '... as its user');
    write_file("$rootdir/dev/.pve.env", "/work\0A=admin\0C=admin\0");
    ($code, $said, $got) = $beside->('dump');
    is_deeply(
        [sort $got->{env}->@*],
        [sort 'A=admin', 'B=host', 'C=admin', 'HOME=/h', 'PATH=/none:/bin', $HOSTNAME],
        '... and the administrator\'s, as process 1 has left it'
    );
    is($got->{cwd}, '/work', '... in the directory of process 1');
    unlink("$rootdir/dev/.pve.env");
    write_file("$rootdir/.pve.env", PVE::OCI::Env::encode({ $data->%*, directory => '/out' }));
    ($code, $said) = $beside->('dump');
    is(
        "$code|$said", "126|/.pve.init: working directory /out: Not a directory\n",
        'the directory is a file'
    );
    my $output = qx(/usr/sbin/chroot $rootdir @{[$emulator // '']} /.pve.init 2>&1);
    is($? >> 8, 126, 'never a second server');
    like($output, qr{running already; .* /\.pve\.init COMMAND}, '... says what to do');
    return;
}

sub test_init_mode ($start) {
    my ($code, $said, $got) =
        $start->({ command => ['/bin/dump', 'x'], init => 1, uid => 5, gid => 6 });
    is("$code|$said", '7|', 'with an init: exit code of the command');
    isnt($got->{pid}, 1, '... which is its child');
    is($got->{ids}, '5 6', '... of the user');
    ($code, $said) = $start->({ command => ['/none'], init => 1 });
    is("$code|$said", "127|/.pve.init: /none: not found\n", '... and errors are told');
    return;
}

sub test_sizes ($rootdir, $start, $emulator) {
    my @variables = map { "NAME_OF_A_VARIABLE_$_=$_" } 1 .. 30_000;
    my ($code, $said, $got) = $start->({ command => ['/bin/dump'], variables => \@variables });
    is(scalar($got->{env}->@*), 30_001, '30,000 variables');
    if (!defined($emulator)) {
        my $time = sub (@list) {
            my $begin = Time::HiRes::time();
            $start->({ command => ['/bin/dump'], variables => \@list });
            return Time::HiRes::time() - $begin;
        };
        $time->(@variables);
        cmp_ok($time->(@variables), '<', 10 * $time->(@variables[0 .. 29]) + 1, '... start soon');
    }
    # what Perl lets pass, the kernel takes: as much as there may be, of many strings and of few
    for my $count (20, 100_000) {
        my ($pointer, $limit) = (8, 2 * 1024 * 1024 - 16 * 1024);
        my $left = $limit - (length('/bin/dump') + 1 + $pointer);
        my $length = int($left / $count) - $pointer - 1;
        my @list = map { sprintf("V%07d=", $_) . 'x' x ($length - 9) } 1 .. $count;
        ($code, $said, $got) = $start->({ command => ['/bin/dump'], variables => \@list });
        is($code . '|' . substr($said, 0, 200), '7|', "as large as it may be, $count variables")
            if !defined($emulator);
    }
    # as somebody else may have written the file
    my $long = 'LONG=' . 'x' x 131_072;
    ($code, $said) = $start->("pve.env 2 0 1 1 0 0\0\0$long\0/bin/dump\0");
    is(
        "$code|$said",
        '126|/.pve.init: /bin/dump: the variable LONG has 131077 bytes, the kernel takes 131071'
            . "\n",
        'a variable that is too long'
    ) if !defined($emulator);
    my $many = join('', map { "V$_=" . 'x' x 100_000 . "\0" } 1 .. 30);
    ($code, $said) = $start->("pve.env 2 0 30 1 0 0\0\0$many/bin/dump\0");
    like($said, qr{/bin/dump: environment and arguments have \d+ bytes, which is more}, 'too much')
        if !defined($emulator);
    return;
}

sub test_damage ($rootdir, $start, $emulator) {
    my ($code, $said);
    my $good = PVE::OCI::Env::encode({ command => ['/bin/dump', 'x'], variables => ['A=b'] });
    for my $length (0 .. length($good) - 1) {
        ($code, $said) = $start->(substr($good, 0, $length));
        is($code, 126, "cut after $length bytes") or diag($said);
    }
    for my $bad (
        "${good}x", "${good}x\0", "\0$good", "pve.env 3 0 0 1 0 0\0\0/bin/dump\0",
        "pve.env 1 0 1 0 0\0/bin/dump\0",
        "pve.env 2 0 0 0 0 0\0\0", "pve.env 2 0 0 1 0\0\0/bin/dump\0",
        "pve.env 2 0 0 1 0 0 \0\0/bin/dump\0", "pve.env 2 0 0 1 0 -1\0\0/bin/dump\0",
        "pve.env 2 0 0 1 4294967295 0\0\0/bin/dump\0",
        "pve.env 2 0 4294967294 1 0 0\0\0/bin/dump\0",
        "pve.env 2 0 0 99999999999999999999 0 0\0\0/bin/dump\0",
        "pve.env 2 0 1 1 0 0\0\0A\0/bin/dump\0",
        "pve.env 2 0 1 1 0 0\0\0=x\0/bin/dump\0",
        'pve.env 2 0 0 1 0 0' . ' 1' x 65 . "\0\0/bin/dump\0", "\0" x 100, 'x' x 5_000_000, '',
        "pve.env 2 0 4294967294 3 0 0\0\0A=b\0/bin/dump\0", "pve.env 2 0 0 1 0 0\0",
        # more of them than there is room for
        "pve.env 2 0 0 300000 0 0\0\0/bin/dump\0" . "x\0" x 299_999,
        "pve.env 2 0 300000 1 0 0\0\0" . "A=\0" x 300_000 . "/bin/dump\0",
    ) {
        ($code, $said) = $start->($bad);
        is($code, 126, 'damaged: ' . substr($bad, 0, 40) =~ s/[^ -~]/./gr);
        like($said, qr{\A/\.pve\.init: /\.pve\.env:? [ -~]+\n\z}, '... told in one line');
    }
    for my $trap (
        [sub { mkdir($_[0]) }, 'Is a directory'],
        [sub { symlink('/out', $_[0]) }, 'Too many levels of symbolic links'],
        [sub { POSIX::mkfifo($_[0], 0666) }, 'damaged: it does not end with NUL'],
        [sub { 1 }, 'not found'],
    ) {
        unlink("$rootdir/.pve.env");
        $trap->[0]->("$rootdir/.pve.env") or die $!;
        ($code, $said) = run_init($rootdir, $emulator, []);
        is(
            "$code|$said", "126|/.pve.init: /.pve.env: $trap->[1]\n",
            "instead of the file: $trap->[1]"
        );
        rmdir("$rootdir/.pve.env");
    }
    return;
}

done_testing();
