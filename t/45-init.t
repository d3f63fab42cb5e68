# /.pve.init, as built for each architecture: in a rootfs that holds nothing else but a program that
# dumps what it was started with.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use InitRootfs;
use PVE::OCI::Env;

if (my $missing = InitRootfs::missing()) {
    plan(skip_all => $missing);
}

# Which program runs executables of an architecture here, if not the kernel.
my $EMULATORS = { amd64 => 'qemu-x86_64-static', arm64 => 'qemu-aarch64-static' };
my ($MACHINE) = qx(uname -m) =~ /(\S+)/;
my $NATIVE = { x86_64 => 'amd64', aarch64 => 'arm64' }->{$MACHINE} // '';

sub write_file ($path, $content) {
    unlink($path);
    open(my $handle, '>:raw', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
}

# Runs /.pve.init in the rootfs; returns exit code, what it said, and what was dumped.
sub run_init ($rootdir, $emulator, %inherited) {
    open(my $truncated, '>', "$rootdir/out") or die $!;
    my $pid = open(my $pipe, '-|') // die $!;
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT) or die $!;
        chdir("$rootdir/work") && chroot($rootdir) or die $!;
        %ENV = %inherited;
        my @command = ($emulator // (), '/.pve.init');
        exec({ $command[0] } @command) or POSIX::_exit(99);
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
    cmp_ok(-s $init, '<', 8192, 'smaller than 8 KiB');
    my $start = sub ($data, %inherited) {
        write_file("$rootdir/.pve.env", ref($data) ? PVE::OCI::Env::encode($data) : $data);
        return run_init($rootdir, $emulator, %inherited);
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
        [sort $got->{env}->@*], [sort @variables, 'TERM=image', 'container=lxc'],
        'odd variables; inherited ones stay or are replaced'
    );
    is($got->{cwd}, '/work', 'working directory stays');
    is($got->{ids} =~ s/ .*//r, '0', 'user stays');

    ($code, $said, $got) =
        $start->({ command => ['/bin/dump'], uid => 1000, gid => 1001, groups => [10, 20] });
    is($got->{ids}, '1000 1001 10 20', 'becomes the user');
    ($code, $said, $got) = $start->({ command => ['/bin/dump'], uid => 1000, gid => 1001 });
    is($got->{ids}, '1000 1001', 'without groups');

    for my $case (
        ['PATH=/none:/bin', 'dump', 7, ''], ['PATH=/none', 'dump', 127, "dump: not found"],
        ['PATH=', 'dump', 126, 'dump: Permission denied'],
        ['A=b', 'dump', 7, ''], ['PATH=/bin', 'nothing', 127, 'nothing: not found'],
        ['PATH=/bin', '', 127, ': not found'],
        ['PATH=/work:/bin', 'dump', 7, ''],
        ['PATH=/work', 'dump', 126, 'dump: Permission denied'],
        ['PATH=/bin', '/work/dump', 126, '/work/dump: Permission denied'],
        ['PATH=/bin', '/bin', 126, '/bin: Permission denied'],
        ['PATH=/bin', '/none', 127, '/none: not found'], ['PATH=/bin', '../bin/dump', 7, ''],
        ['PATH=/bin', '/out/x', 127, '/out/x: Not a directory'],
        ['PATH=/bin', '/bin/text', 126, '/bin/text: Exec format error'],
        ['PATH=' . 'x' x 5000 . ':/bin', 'dump', 7, ''],
    ) {
        my ($path, $command, $expected, $message) = $case->@*;
        write_file("$rootdir/work/dump", 'not executable');
        write_file("$rootdir/bin/text", 'neither ELF nor #!');
        chmod(0755, "$rootdir/bin/text");
        ($code, $said) = $start->({ command => [$command], variables => [$path] });
        $message = "/.pve.init: $message\n" if $message ne '';
        is("$code|$said", "$expected|$message", "'$command' in " . substr($path, 0, 20));
    }

    my $good = PVE::OCI::Env::encode({ command => ['/bin/dump', 'x'], variables => ['A=b'] });
    for my $length (0 .. length($good) - 1) {
        ($code, $said) = $start->(substr($good, 0, $length));
        is($code, 126, "cut after $length bytes") or diag($said);
    }
    for my $bad (
        "${good}x", "${good}x\0", "\0$good", "pve.env 2 0 1 0 0\0/bin/dump\0",
        "pve.env 1 0 0 0 0\0", "pve.env 1 0 1 0\0/bin/dump\0",
        "pve.env 1 0 1 0 0 \0/bin/dump\0", "pve.env 1 0 1 0 -1\0/bin/dump\0",
        "pve.env 1 0 1 4294967295 0\0/bin/dump\0",
        "pve.env 1 4294967294 1 0 0\0/bin/dump\0",
        "pve.env 1 0 99999999999999999999 0 0\0/bin/dump\0",
        "pve.env 1 1 1 0 0\0A\0/bin/dump\0",
        "pve.env 1 1 1 0 0\0=x\0/bin/dump\0",
        'pve.env 1 0 1 0 0' . ' 1' x 65 . "\0/bin/dump\0", "\0" x 100, 'x' x 5_000_000, '',
        "pve.env 1 4294967294 3 0 0\0A=b\0/bin/dump\0",
    ) {
        ($code, $said) = $start->($bad);
        is($code, 126, 'damaged: ' . substr($bad, 0, 40) =~ s/[^ -~]/./gr);
        like($said, qr{\A/\.pve\.init: /\.pve\.env: [ -~]+\n\z}, '... told in one line');
    }
    for my $trap (
        [sub { mkdir($_[0]) }, 'Is a directory'],
        [sub { symlink('/out', $_[0]) }, 'Too many levels of symbolic links'],
        [sub { POSIX::mkfifo($_[0], 0666) }, 'damaged: it does not end with NUL'],
        [sub { 1 }, 'not found'],
    ) {
        unlink("$rootdir/.pve.env");
        $trap->[0]->("$rootdir/.pve.env") or die $!;
        ($code, $said) = run_init($rootdir, $emulator);
        is(
            "$code|$said", "126|/.pve.init: /.pve.env: $trap->[1]\n",
            "instead of the file: $trap->[1]"
        );
        rmdir("$rootdir/.pve.env");
    }
    return;
}

done_testing();
