# Real LXC: what an application finds in its container, as docker gives it: environment, what the
# administrator sets, commands beside it, /dev/stdout, network, an init in front of it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use Test::More;
use Time::HiRes qw(time);

use InitRootfs;
use LxcContainer;
use TestSupport qw(at_most wait_until);

for my $missing (InitRootfs::missing(), LxcContainer::missing()) {
    plan(skip_all => $missing) if defined($missing);
}
plan(skip_all => 'needs busybox-static')
    if qx(file -L /bin/busybox 2>/dev/null || ldd /bin/busybox 2>&1) !~ /static|not a dynamic/;

require PVE::LXC::OCI;
require PVE::LXC::OCI::Init;

my ($ARCH) = { x86_64 => 'amd64', aarch64 => 'arm64' }->{ qx(uname -m) =~ s/\s//gr };
my $INIT = $ARCH && InitRootfs::build_init($ARCH);
plan(skip_all => 'no /.pve.init for this machine') if !$INIT;
no warnings qw(once); # the modules were loaded at run time
@PVE::LXC::OCI::Init::DIRECTORIES = ($INIT =~ s{/\Q$ARCH\E/pve\.init\z}{}r);
$PVE::LXC::Config::IS_NEW = 1;

my $DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
my $OF_LXC = 'TERM=linux container=lxc';

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or return '';
    local $/ = undef;
    return readline($handle) // '';
}

# Runs code and keeps what it prints from the test's output.
my sub quietly ($code) {
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    my $result = eval { $code->() };
    my $error = $@;
    select($stdout);
    die $error if $error;
    return wantarray ? ($result, $text) : $result;
}

# A rootfs with busybox and this image config; $conf says what the user has set.
sub create ($config, $conf = {}, $files = {}) {
    $conf = { unprivileged => 1, arch => $ARCH, $conf->%* };
    my $owner = $conf->{unprivileged} ? 100000 : 0;
    my $rootdir = InitRootfs::create($owner);
    system('cp', '/bin/busybox', "$rootdir/bin/busybox") == 0 or die;
    symlink('busybox', "$rootdir/bin/$_")
        for qw(cat echo env id ifconfig nc ps pwd readlink sh sleep true);
    InitRootfs::build_program('ping.c', "$rootdir/bin/probe");
    LxcContainer::write_file(
        "$rootdir/etc/passwd",
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n"
    );
    LxcContainer::write_file("$rootdir/etc/group", "extra:x:2000:app\n");
    LxcContainer::write_file("$rootdir/$_", $files->{$_}) for keys $files->%*;
    chmod(01777, "$rootdir/tmp") or die $!;
    quietly(sub { PVE::LXC::OCI::apply_image_config($conf, $config, $rootdir) });
    return ($rootdir, $conf);
}

# A command that runs a script and goes on until it is stopped.
sub serving ($script) {
    return ['/bin/sh', '-c', "$script\n: > /tmp/ready; trap 'exit 0' TERM; sleep 1000 & wait"];
}

sub start ($rootdir, $conf, @lxc) {
    my $log = "$rootdir.console";
    push $conf->{lxc}->@*, ['lxc.console.logfile', $log], @lxc;
    my $container = LxcContainer->start(
        $rootdir, $conf,
        sub { -e "$rootdir/tmp/ready" || slurp($log) =~ /pve\.init.*\n/ }
    );
    return ($container, sub { slurp($log) =~ s/\r//gr });
}

# The environment of process 1, sorted.
sub environment ($rootdir) {
    return join(' ', sort split(/\0/, slurp("$rootdir/tmp/environ")));
}

my $SAVE = 'cat /proc/1/environ > /tmp/environ; pwd > /tmp/pwd; id > /tmp/id';

# What the environment must be, by config and by what the user has set.
my @ENVIRONMENTS = (
    [
        'an image without Env', {}, {},
        "$DEFAULT_PATH HOME=/root HOSTNAME=test $OF_LXC",
    ],
    [
        'HOME of the user', { User => 'app' }, {},
        "$DEFAULT_PATH HOME=/srv/app HOSTNAME=test $OF_LXC",
    ],
    [
        'HOME of a user without an entry', { User => '4711' }, {},
        "$DEFAULT_PATH HOME=/ HOSTNAME=test $OF_LXC",
    ],
    [
        'what the image sets, empty values too',
        { Env => ['PATH=', 'HOME=', 'HOSTNAME=x', 'TERM=image', 'container=oci', 'a.b-c=1'] },
        {},
        'HOME= HOSTNAME=x PATH= TERM=image a.b-c=1 container=oci',
    ],
    [
        'what the user set at creation and later',
        { Env => ['A=image', 'B=image', 'C=image', 'HOME=/image'] },
        { lxc => [['lxc.environment', 'A=user']] },
        "$DEFAULT_PATH A=user B=later C=image HOME=/image HOSTNAME=test NEW=later $OF_LXC",
        ['lxc.environment', 'B=later'], ['lxc.environment', 'NEW=later'],
    ],
    [
        'TERM of the user', { Env => ['TERM=image'] }, {},
        "$DEFAULT_PATH HOME=/root HOSTNAME=test TERM=vt100 container=lxc",
        ['lxc.environment', 'TERM=vt100'],
    ],
);
for my $case (@ENVIRONMENTS) {
    my ($name, $config, $conf, $expected, @later) = $case->@*;
    my ($rootdir, $made) = create({ $config->%*, Cmd => serving("PATH=/bin; $SAVE") }, $conf);
    my ($container, $console) = start($rootdir, $made, @later);
    is(environment($rootdir), join(' ', sort split(/ /, $expected)), $name) or diag($console->());
    is($container->stop(), 0, '... is stopped');
}

subtest 'a command of the user\'s own keeps environment, user and directory' => sub {
    my $script = "#!/bin/sh\n" . serving("PATH=/bin; $SAVE")->[2] . "\n";
    for
        my $own ({ entrypoint => '/bin/sh /own' }, { lxc => [['lxc.init.cmd', '/bin/sh /own']] }) {
        my ($rootdir, $conf) = create(
            {
                Cmd => ['/none'], Env => ['A=image', 'discovery.type=x', 'PATH=/bin'],
                User => 'app', WorkingDir => '/work',
            },
            $own,
            { own => $script },
        );
        my ($container, $console) = start($rootdir, $conf);
        is(
            environment($rootdir),
            join(
                ' ', sort 'A=image', 'HOME=/srv/app', 'HOSTNAME=test', 'PATH=/bin',
                'discovery.type=x', split(/ /, $OF_LXC)
            ),
            (keys $own->%*)[0],
        ) or diag($console->());
        is(slurp("$rootdir/tmp/pwd"), "/work\n", '... directory');
        like(slurp("$rootdir/tmp/id"), qr/uid=1000\S* gid=1001/, '... user');
    }
};

subtest 'ids of the user win' => sub {
    for my $case (
        [{ User => 'app' }, [['lxc.init.uid', '0']], qr/uid=0\S* gid=0/],
        [{}, [['lxc.init.uid', '1500'], ['lxc.init.gid', '1600']], qr/uid=1500 gid=1600/],
        [{}, [['lxc.init.uid', '1500']], qr/uid=1500 gid=0/],
        [{ User => 'app' }, [['lxc.init.gid', '1600']], qr/uid=1000\S* gid=1600/],
    ) {
        my ($config, $lxc, $expected) = $case->@*;
        my $name = join(', ', map { "$_->[0]=$_->[1]" } $lxc->@*);
        my ($rootdir, $conf) = create({ $config->%*, Cmd => serving($SAVE) }, { lxc => $lxc });
        my ($container, $console) = start($rootdir, $conf);
        like(slurp("$rootdir/tmp/id"), $expected, $name) or diag($console->());
    }
};

subtest 'a command beside the application' => sub {
    my ($rootdir, $conf) = create(
        {
            Cmd => serving($SAVE), Env => ['A=image', 'B=image', 'LANG=C', 'PATH=/none:/bin'],
            User => 'app', WorkingDir => '/work',
        },
        { lxc => [['lxc.environment', 'B=user']] },
    );
    my ($container, $console) = start($rootdir, $conf);
    local %ENV = (%ENV, LANG => 'host', HOME => '/root', MINE => 'host');
    my ($code, $text) = $container->attach('/.pve.init', 'sh', '-c', 'env; id; pwd; exit 3');
    is($code, 3, 'exit code');
    for my $line (
        qw(A=image B=user LANG=C PATH=/none:/bin HOME=/srv/app HOSTNAME=test MINE=host /work)) {
        like($text, qr/^\Q$line\E$/m, $line);
    }
    like($text, qr/uid=1000\S* gid=1001\S* groups=2000/, 'ids');
    ($code, $text) = $container->attach('/.pve.init');
    is($code, 126, 'without arguments');
    like($text, qr{running already.*/\.pve\.init COMMAND}, '... says what to do');
    ($code, $text) = $container->attach('/.pve.init', 'nothing');
    is($code, 127, 'a command that is not there');
    like($text, qr{\A/\.pve\.init: nothing: not found}, '... is told');
};

subtest '/dev/stdout of a user with groups' => sub {
    my ($rootdir, $conf) = create({
        User => 'app',
        Cmd => serving('echo to stdout > /dev/stdout; echo to stderr > /proc/self/fd/2'),
    });
    my ($container, $console) = start($rootdir, $conf);
    wait_until(sub { $console->() =~ /stderr/ });
    like($console->(), qr/to stdout\nto stderr/, 'both can be opened');
};

subtest 'loopback, low ports and ping for every user' => sub {
    for my $map ([], [['lxc.idmap', 'u 0 110000 3000'], ['lxc.idmap', 'g 0 110000 3000']]) {
        my ($rootdir, $conf) = create(
            {
                User => 'app',
                Cmd => serving(
                          'ifconfig lo > /tmp/lo; cat /proc/sys/net/ipv4/ip_unp*start'
                        . ' /proc/sys/net/ipv4/ping_group_range > /tmp/settings; '
                        . 'echo hello | nc -l -p 80 > /dev/null & sleep 1;'
                        . ' nc -w 3 127.0.0.1 80 > /tmp/port;'
                        . ' /bin/probe > /tmp/ping 2>&1'
                )
            },
            { lxc => [$map->@*] },
        );
        system('chown', '-hR', '110000:110000', $rootdir) if $map->@*;
        my ($container, $console) = start($rootdir, $conf);
        like(slurp("$rootdir/tmp/lo"), qr/UP LOOPBACK/, 'loopback is up') or diag($console->());
        is(slurp("$rootdir/tmp/port"), "hello\n", 'port 80');
        my $last = $map->@* ? 2999 : 65535;
        like(slurp("$rootdir/tmp/settings"), qr/\A0\n0\s+$last\n/, 'settings');
        like(slurp("$rootdir/tmp/ping"), qr/answered/, 'ping');
    }
};

subtest 'never of the host: a privileged container without a network of its own' => sub {
    my $read = sub { slurp('/proc/sys/net/ipv4/ip_unprivileged_port_start') };
    my $before = $read->();
    my $boot = sub {
        my ($rootdir, $conf) = create(
            { Cmd => serving('cat /proc/sys/net/ipv4/ip_unp*start > /tmp/start') },
            { unprivileged => 0 }
        );
        my ($container, $console) = start($rootdir, $conf, ['lxc.net.0.type', 'none']);
        return slurp("$rootdir/tmp/start") || $console->();
    };
    is($boot->(), $before, 'the first namespace') or diag('host was changed');
    is($read->(), $before, '... is as it was');
    # a host that is itself in a later namespace
    my $pid = open(my $pipe, '-|') // die $!;
    if ($pid == 0) {
        TestSupport::enter_network_namespace();
        my $own = $read->();
        my $seen = $boot->();
        print $own eq $seen && $read->() eq $own ? 'same' : "changed: $own, $seen";
        close(STDOUT);
        POSIX::_exit(0);
    }
    is(do { local $/ = undef; <$pipe> }, 'same', 'a later namespace');
    my ($rootdir, $conf) = create(
        { Cmd => serving('cat /proc/sys/net/ipv4/ip_unp*start > /tmp/start') },
        { unprivileged => 0 }
    );
    my ($container, $console) = start($rootdir, $conf);
    is(slurp("$rootdir/tmp/start"), "0\n", 'but one of its own is changed')
        or diag($console->());
};

subtest 'never of the host: what somebody gives to a command in a privileged container' => sub {
    my ($rootdir, $conf) =
        create({ Cmd => serving(':'), User => 'app' }, { unprivileged => 0 });
    my ($container, $console) = start($rootdir, $conf);
    # of owners only: lxc-attach itself changes modes
    my ($master, $terminal) = InitRootfs::open_terminal('/dev/pts');
    my $file = File::Temp->new();
    my $fifo = "$rootdir.fifo";
    POSIX::mkfifo($fifo, 0666) or die $!;
    open(my $null, '+<', '/dev/null') or die $!;
    open(my $named, '+<', $fifo) or die $!;
    my %streams =
        ('/dev/null' => $null, 'a file' => $file, 'a fifo' => $named, 'a terminal' => $terminal);
    for my $name (sort keys %streams) {
        my @before = (stat($streams{$name}))[4, 5];
        is(
            $container->attach_to($streams{$name}, '/.pve.init', 'true'), 0,
            "$name: it has run"
        );
        is_deeply([(stat($streams{$name}))[4, 5]], \@before, "$name: its owner stays");
    }
    unlink($fifo);
    my ($code, $text) = $container->attach('/.pve.init', 'sh', '-c', 'echo x > /dev/stdout');
    is("$code|$text", "0|x\n", 'but a pipe can be opened by the user');
};

# Without a console LXC hands process 1 what lxc-start has.
subtest 'never of the host: the terminal on which a privileged container was started' => sub {
    my ($rootdir, $conf) =
        create({ Cmd => serving('id > /tmp/id'), User => 'app' }, { unprivileged => 0 });
    my ($master, $terminal) = InitRootfs::open_terminal('/dev/pts');
    my @before = (stat($terminal))[4, 5];
    push $conf->{lxc}->@*, ['lxc.console.path', 'none'];
    my $container =
        LxcContainer->start($rootdir, $conf, sub { -e "$rootdir/tmp/ready" }, $terminal);
    like(slurp("$rootdir/tmp/id"), qr/uid=1000/, 'it has run');
    my $pid = $container->init_pid();
    is_deeply(
        [map { (stat("/proc/$pid/fd/$_"))[1] } 1, 2],
        [((stat($terminal))[1]) x 2],
        'on that terminal'
    );
    is_deeply([(stat($terminal))[4, 5]], \@before, 'its owner stays');
};

subtest 'an init in front of the application' => sub {
    my $orphans =
        'i=0; while [ $i -lt 20 ]; do (sleep 0.1 & exec true) & i=$((i+1)); done; wait';
    my $script = "$orphans; sleep 1; ps -o pid,stat > /tmp/ps; : > /tmp/ready; exec sleep 1000";
    my %seconds;
    for my $mode (qw(off on)) {
        my ($rootdir, $conf) = create({ Cmd => ['/bin/sh', '-c', $script], User => 'app' });
        system("$FindBin::Bin/../bin/pve-oci env $rootdir --init $mode >/dev/null") == 0 or die;
        my ($container, $console) = start($rootdir, $conf);
        unlike(slurp("$rootdir/tmp/ps"), qr/ Z/, 'zombies are reaped') if $mode eq 'on';
        my (undef, $first) = $container->attach('/bin/readlink', '/proc/1/exe');
        is($first, $mode eq 'on' ? "/.pve.init\n" : "/bin/busybox\n", "$mode: process 1");
        my $begin = time();
        $container->stop($mode eq 'on' ? 10 : 3);
        $seconds{$mode} = time() - $begin;
    }
    cmp_ok(
        $seconds{on}, '<', at_most(2),
        'on: a command without a handler is ended by its stop signal'
    );
    cmp_ok($seconds{off}, '>', 2.5, 'off: it is killed when the time is over');
};

subtest 'exit codes by an init' => sub {
    for
        my $case (['exit 3', 3], ['kill -9 $$', 137], ['kill -15 $$', 143], ['nothing-there', 127])
    {
        my ($script, $expected) = $case->@*;
        my ($rootdir) = create({ Cmd => ['/bin/sh', '-c', $script], User => 'app' });
        system("$FindBin::Bin/../bin/pve-oci env $rootdir --init on >/dev/null") == 0 or die;
        system("unshare --pid --fork --root=$rootdir /.pve.init 2>/dev/null");
        is($? >> 8, $expected, $script);
    }
};

subtest 'why it does not start' => sub {
    for my $case (
        [
            { Cmd => ['/bin/true'], WorkingDir => '/etc/passwd' },
            qr{working directory /etc/passwd: Not a dir}
        ],
        [{ Cmd => ['/etc/passwd'] }, qr{/etc/passwd: Permission denied: .* its mode is 0644}],
        [{ Cmd => ['/nothing'] }, qr{/nothing: not found}],
    ) {
        my ($config, $expected) = $case->@*;
        my ($rootdir, $conf) = create($config);
        my ($container, $console) = start($rootdir, $conf);
        like($console->(), qr{/\.pve\.init: $expected}, "$expected");
    }
};

done_testing();
