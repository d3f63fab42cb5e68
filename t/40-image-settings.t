#!/usr/bin/perl -T
# PVE::LXC::OCI with stand-ins for PVE's modules and a daemon that plays scripts: signals, system
# containers, settings of the user, users of the image, and a hostile rootfs.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/lib/stand-ins", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use Test::More;

use CreateFlow qw($DIRECTORY lxc_value new_rootfs restore slurp write_file);
use PVE::LXC::OCI;
use PVE::LXC::OCI::ImageConfig;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

my @SIGNALS = (
    ['TERM', 'SIGTERM'], ['SIGTERM', 'SIGTERM'], ['sigquit', 'SIGQUIT'], ['15', '15'],
    ['015', undef], ['0', undef], ['65', undef],
    ['RTMIN+3', 'SIGRTMIN+3'], ['SIGRTMIN+3', 'SIGRTMIN+3'], ['SIGRTMAX-1', 'SIGRTMAX-1'],
    ['RTMIN', 'SIGRTMIN+0'],
    ['RTMIN+31', undef], ['garbage', undef], ['SIG', undef], ['SIGSIGTERM', undef],
    ['TERM;x', undef], ['-9', undef],
);
is(PVE::LXC::OCI::ImageConfig::normalise_signal($_->[0]), $_->[1], "signal $_->[0]") for @SIGNALS;

subtest 'an unknown signal is SIGTERM, with a warning' => sub {
    my ($conf) = restore({ Cmd => ['x'], StopSignal => 'garbage' });
    is(lxc_value($conf, 'lxc.signal.halt'), 'SIGTERM', 'default');
    like($PVE::RESTEnvironment::warnings[0], qr/unknown StopSignal 'garbage'/, 'warning');
};

subtest 'a system container gets none of it' => sub {
    for my $config ({ Cmd => ['/sbin/init'] }, { Entrypoint => ['/sbin/init'] }, {}) {
        my ($conf, $rootdir, $error) = restore({
            $config->%*, Env => ['A=b'], User => '1', StopSignal => 'USR1',
            WorkingDir => '/x'
        });
        is($error, '', 'no error');
        is_deeply($conf, { unprivileged => 1, arch => 'amd64' }, 'nothing set');
        ok(!-e "$rootdir/.pve.init", 'no /.pve.init');
        ok(-e "$rootdir/.pve.oci.json", 'but where it is from');
    }
    is(
        $PVE::RESTEnvironment::warnings[0], 'image has no command, /sbin/init will be started',
        'warned'
    );
};

subtest 'what the user set wins' => sub {
    my $lxc = [['lxc.signal.halt', 'SIGINT'], ['lxc.init.cwd', '/mine']];
    my ($conf, $rootdir) = restore(
        { Cmd => ['x'], StopSignal => 'USR1', WorkingDir => '/theirs' },
        { unprivileged => 1, cmode => 'shell', lxc => $lxc },
    );
    is($conf->{cmode}, 'shell', 'cmode');
    is(lxc_value($conf, 'lxc.signal.halt'), 'SIGINT', 'signal');
    is(lxc_value($conf, 'lxc.init.cwd'), '/mine', 'cwd');
    local $PVE::LXC::Config::IS_NEW = 1;
    ($conf, $rootdir) = restore(
        { Cmd => ['x'], Env => ['A=theirs', 'B=theirs', 'x.y=1'] },
        { unprivileged => 1, entrypoint => '/mine', env => "A=mine" },
    );
    is(
        $conf->{entrypoint}, '/.pve.init /mine',
        'entrypoint, which keeps what else the image says'
    );
    is($conf->{env}, 'A=mine', 'env');
    is(
        join(' ', PVE::OCI::Env::decode(slurp("$rootdir/.pve.env"))->{variables}->@[0 .. 2]),
        'A=theirs B=theirs x.y=1', "the image's are kept"
    );
    ($conf, $rootdir) = restore(
        { Cmd => ['x'], Env => ['A=theirs', 'B=theirs'] },
        { unprivileged => 1, env => "A=mine" }
    );
    is($conf->{entrypoint}, '/.pve.init', 'only env given: entrypoint');
    is($conf->{env}, 'A=mine', 'only env given: env stays');
};

# Whoever runs /.pve.init must be able to read /.pve.env, and runs the command with these ids.
subtest 'the ids that the user set win' => sub {
    my @cases = (
        # User of the image, lxc.init.uid, gid => ids in the file, its mode and group
        ['app', 0, undef, '0 0', '600 100000'],
        ['', 1000, undef, '1000 0', '640 100000'],
        ['app', 1000, 50, '1000 50', '640 100050'],
        ['', undef, 50, '0 50', '600 100000'],
        ['4711:4712', undef, undef, '4711 4712', '640 104712'],
    );
    for my $case (@cases) {
        my ($user, $uid, $gid, $ids, $mode) = $case->@*;
        my $rootdir = new_rootfs();
        mkdir("$rootdir/etc") or die "mkdir: $!\n";
        open(my $passwd, '>', "$rootdir/etc/passwd") or die "passwd: $!\n";
        print {$passwd} "app:x:33:34::/:\n";
        close($passwd) or die "passwd: $!\n";
        my @lxc = (
            defined($uid) ? ['lxc.init.uid', $uid] : (),
            defined($gid) ? ['lxc.init.gid', $gid] : (),
        );
        my ($conf, undef, $error) = restore(
            { Cmd => ['x'], User => $user }, { unprivileged => 1, lxc => \@lxc }, $rootdir,
        );
        my $name = "User '$user', uid " . ($uid // '-') . ', gid ' . ($gid // '-');
        is($error, '', $name);
        my ($header) = slurp("$rootdir/.pve.env") =~ /\A([^\0]*)\0/;
        like($header, qr/\Apve\.env 2 0 \d+ \d+ $ids(?: |\z)/, "$name: ids");
        my @status = stat("$rootdir/.pve.env");
        is(sprintf('%o %d', $status[2] & 07777, $status[5]), $mode, "$name: who may read it");
    }
};

subtest 'newer versions: entrypoint, network managed by the host' => sub {
    local $PVE::LXC::Config::IS_NEW = 1;
    my $conf = { unprivileged => 1, net0 => 'name=eth0', net1 => 'name=eth1,host-managed=0' };
    my (undef, $rootdir) = restore({ Cmd => ['x'], User => '7:8' }, $conf);
    is(
        lxc_value($conf, 'lxc.init.uid'), undef,
        'LXC leaves it to /.pve.init to become the user'
    );
    my $data = PVE::OCI::Env::decode(slurp("$rootdir/.pve.env"));
    is("$data->{uid}:$data->{gid}", '7:8', 'who does');
    is(lxc_value($conf, 'lxc.init.cmd'), undef, 'no raw command');
    is($conf->{net0}, 'host-managed=1,name=eth0', 'network');
    is($conf->{net1}, 'name=eth1,host-managed=0', 'what the user set stays');
};

subtest 'users' => sub {
    my $passwd =
          "root:x:0:0:r:/:/bin/sh\napp:x:1000:1001::/:\n2000:x:5:6::/:\n"
        . "bad\nneg:x:-1:0\nnogid:x:9:x\n";
    my $group = "root:x:0:app\nstaff:x:50:app,other\ng:x:1001:app\naudio:x:63:x,app\n";
    my @cases = (
        ['app', '1000:1001:0,50,63'], ['1000', '1000:1001:0,50,63'], ['app:staff', '1000:50:'],
        ['app:7', '1000:7:'],
        ['4711', '4711:0:'], ['4711:4712', '4711:4712:'], ['2000', '5:6:'], ['root', '0:0:'],
        [':staff', '0:50:'],
        ['nogid', '9:0:'], ['app:', '1000:1001:0,50,63'], ['app:7:x', '1000:7:'],
        ['2147483647:2147483647', '2147483647:2147483647:'],
    );
    for my $case (@cases) {
        my $user = PVE::OCI::User::resolve_in($case->[0], $passwd, $group);
        is(
            "$user->{uid}:$user->{gid}:" . join(',', $user->{groups}->@*), $case->[1],
            "user $case->[0]"
        );
    }
    for my $bad (
        'nobody', 'app:nogroup', 'neg', '99999999999', '4294967295', 'a:b:c', '-1',
        '2147483648',
        '1:2147483648', '3000000000',
    ) {
        eval { PVE::OCI::User::resolve_in($bad, $passwd, $group) };
        like($@, qr/\A[^\n]+ of the image [^\n]+\n\z/, "refused: $bad");
    }
};

subtest 'users: files with CR LF, blanks, missing fields, and home directories' => sub {
    my $passwd = "root:x:0:0::/root:/bin/sh\r\n \tapp:x:1000:1001::/srv/app\r\n"
        . "bare:x:1002\r\nempty:x::5::\n";
    my $group = "  extra:x:50:other,app\r\nplain:x:51\r\napp:x:1001:\r\n";
    for my $case (
        ['app', '1000:1001:50:/srv/app'], ['1000:plain', '1000:51::/srv/app'],
        ['', '0:0::/root'],
        ['bare', '1002:0::/'], ['empty', '0:5::/'], ['4711', '4711:0::/'],
        ['0:50', '0:50::/root'],
    ) {
        my $user = PVE::OCI::User::resolve_in($case->[0], $passwd, $group);
        my $ids = "$user->{uid}:$user->{gid}:" . join(',', $user->{groups}->@*);
        is("$ids:$user->{home}", $case->[1], "user '$case->[0]'");
    }
    my $user = PVE::OCI::User::resolve_in('1000:1000', undef, undef);
    is("$user->{uid}:$user->{gid}:$user->{home}", '1000:1000:/', 'numbers without files');
};

subtest 'hostile rootfs: links are not followed out of it, fifos do not hang' => sub {
    my $victim = "$DIRECTORY/victim";
    mkdir($victim) or die $!;
    write_file('victim/file', 'precious');
    write_file('victim/passwd', "app:x:77:77:::\n");
    my %traps = (
        'symlink to a file' => sub ($path) { symlink("$victim/file", $path) },
        'symlink to a directory' => sub ($path) { symlink($victim, $path) },
        'dangling symlink' => sub ($path) { symlink("$victim/new", $path) },
        'fifo' => sub ($path) { POSIX::mkfifo($path, 0666) },
        'directory' =>
            sub ($path) { mkdir($path) && mkdir("$path/x") && symlink($victim, "$path/y") },
        'hard link' => sub ($path) { link("$victim/file", $path) },
    );
    for my $name (sort keys %traps) {
        my $rootdir = new_rootfs();
        $traps{$name}->("$rootdir/$_") for qw(.pve.init .pve.env .pve.oci.json);
        my (undef, undef, $error) = restore({ Cmd => ['x'] }, { unprivileged => 1 }, $rootdir);
        is($error, '', "$name: no error");
        ok(-f "$rootdir/$_" && !-l "$rootdir/$_", "$name: $_ was replaced")
            for qw(.pve.init .pve.env .pve.oci.json);
        is(slurp("$victim/file"), 'precious', "$name: what is outside was not touched");
        is(
            join(' ', sort map { s{.*/}{}r } glob("$victim/*")), 'file passwd',
            "$name: nor added to"
        );
    }
    my $rootdir = new_rootfs();
    symlink($victim, "$rootdir/etc") or die $!;
    symlink('/', "$rootdir/up") or die $!;
    my (undef, undef, $error) =
        restore({ Cmd => ['x'], User => 'app' }, { unprivileged => 1 }, $rootdir);
    like($error, qr/\Auser 'app' of the image is not in its/, 'passwd outside is not read');
    restore(
        { Cmd => ['x'], Volumes => { '/up/../../../new' => {}, "/etc/x" => {} } },
        { unprivileged => 1 }, $rootdir
    );
    ok(-d "$rootdir/new", 'a volume stays inside');
    ok(!-e "$victim/x", 'also through a link');
    $rootdir = new_rootfs();
    mkdir("$rootdir/etc") or die $!;
    POSIX::mkfifo("$rootdir/etc/passwd", 0666) or die $!;
    (undef, undef, $error) =
        restore({ Cmd => ['x'], User => '1' }, { unprivileged => 1 }, $rootdir);
    is($error, "'/etc/passwd' in rootfs is not a regular file\n", 'passwd is a fifo');
    unlink("$rootdir/etc/passwd");
    symlink('../usr/passwd', "$rootdir/etc/passwd") or die $!;
    mkdir("$rootdir/usr") or die $!;
    write_file($rootdir =~ s{.*/}{}r . '/usr/passwd', "app:x:12:13:::\n");
    (undef, undef, $error) =
        restore({ Cmd => ['x'], User => 'app' }, { unprivileged => 1 }, $rootdir);
    is($error, '', 'a link inside is followed');
    is(PVE::OCI::Env::decode(slurp("$rootdir/.pve.env"))->{uid}, 12, '... and read');
};

done_testing();
