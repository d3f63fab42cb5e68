# Real LXC: an unprivileged container starts by /.pve.init, and its command gets exactly the arguments,
# variables, directory and ids of the image's config; lxc-stop ends it by its stop signal.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep);

use InitRootfs;

# LXC wants to see nothing but cgroup2, so in a mount namespace of its own.
if (!$ENV{PVE_OCI_TEST_INNER} && !InitRootfs::missing()) {
    local $ENV{PVE_OCI_TEST_INNER} = 1;
    exec('unshare', '-m', '--propagation', 'private', $^X, $0) or die "unshare: $!\n";
}
if (my $missing = InitRootfs::missing()) {
    plan(skip_all => $missing);
}
plan(skip_all => 'needs lxc') if system('lxc-start --version >/dev/null 2>&1') != 0;
my $cgroups =
    'umount -R /sys/fs/cgroup; umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup';
plan(skip_all => 'needs cgroup2') if system("($cgroups) >/dev/null 2>&1") != 0;

# Ranges for newuidmap, in this mount namespace only.
my $ranges = tempdir(CLEANUP => 1);
for my $name (qw(subuid subgid)) {
    write_file("$ranges/$name", "root:100000:65536\n");
    write_file("/etc/$name", '') if !-e "/etc/$name";
    system('mount', '--bind', "$ranges/$name", "/etc/$name") == 0 or die "mount failed\n";
}

require PVE::LXC::OCI;

my ($ARCH) = { x86_64 => 'amd64', aarch64 => 'arm64' }->{ qx(uname -m) =~ s/\s//gr };
my $INIT = $ARCH && InitRootfs::build_init($ARCH);
plan(skip_all => 'no /.pve.init for this machine') if !$INIT;
no warnings qw(once); # the modules were loaded at run time
@PVE::LXC::OCI::Init::DIRECTORIES = ($INIT =~ s{/\Q$ARCH\E/pve\.init\z}{}r);

sub write_file ($path, $content) {
    open(my $handle, '>', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
}

# Starts a container of this rootfs and configuration as PVE would; returns the name and its folder.
sub start_container ($rootdir, $conf) {
    my $folder = tempdir(CLEANUP => 1);
    chmod(0755, $folder);
    mkdir("$folder/test") or die $!;
    my @init = defined($conf->{entrypoint}) ? (['lxc.init.cmd', $conf->{entrypoint}]) : ();
    my ($id_map) = PVE::LXC::parse_id_maps($conf);
    my @lines = (
        ['lxc.uts.name', 'test'], ['lxc.rootfs.path', "dir:$rootdir"],
        ['lxc.net.0.type', 'empty'],
        ['lxc.apparmor.profile', 'unconfined'], ['lxc.tty.max', 0], ['lxc.autodev', 1],
        ['lxc.mount.auto', 'proc:mixed sys:ro'], ['lxc.environment', 'TERM=linux'],
        (map { ['lxc.idmap', join(' ', $_->@*)] } $id_map->@*), @init, $conf->{lxc}->@*,
    );
    write_file("$folder/test/config", join('', map { "$_->[0] = $_->[1]\n" } @lines));
    system('lxc-start', '-P', $folder, '-n', 'test', '-d', '-l', 'INFO', '-o', "$folder/log");
    for (1 .. 100) {
        last if InitRootfs::dumped($rootdir)->{pid};
        sleep(0.1);
    }
    diag(qx(tail -40 $folder/log)) if !InitRootfs::dumped($rootdir)->{pid};
    return $folder;
}

my $ARGUMENTS =
    ['  a  b ', 'a"b', "it's", '$HOME $(id)', '*', '', "a\tb", "\x{e4}\x{1f600}", 'x' x 65536, '#'];
my $VARIABLES = ['PATH=/bin', 'A=1 2', 'E=', 'a.b=c', 'X-Y==z=', 'LD_PRELOAD=/none.so', "U=\x{e4}",
    map { "N$_=$_" } 1 .. 1000];

sub bytes (@texts) {
    utf8::encode($_) for @texts;
    return @texts;
}

for my $is_new (0, 1) {
    subtest 'configuration as of pve-container ' . ($is_new ? '6.1' : '6.0') => sub {
        local $PVE::LXC::Config::IS_NEW = $is_new;
        my $rootdir = InitRootfs::create(100000);
        write_file("$rootdir/etc/passwd", "root:x:0:0::/:\napp:x:1000:1001::/:\n");
        write_file("$rootdir/etc/group", "audio:x:63:app\nstaff:x:50:x,app\n");
        my $conf = { unprivileged => 1, arch => $ARCH };
        PVE::LXC::OCI::apply_image_config(
            $conf,
            {
                Entrypoint => ['dump'], Cmd => $ARGUMENTS, Env => $VARIABLES,
                WorkingDir => '/work/new dir',
                User => 'app', StopSignal => 'RTMIN+3',
            },
            $rootdir,
        );
        my $folder = start_container($rootdir, $conf);
        my $got = InitRootfs::dumped($rootdir);
        is_deeply($got->{argv}, ['dump', bytes($ARGUMENTS->@*)], 'arguments');
        my @image = grep { !/\A(?:container|container_ttys|TERM|HOME|USER)=/ } $got->{env}->@*;
        is_deeply([sort @image], [sort(bytes($VARIABLES->@*))], 'variables');
        note(
            'set by LXC: ',
            join(
                ' ', grep { /\A(?:container|container_ttys|TERM|HOME|USER)=/ } $got->{env}->@*
            )
        );
        is($got->{cwd}, '/work/new dir', 'working directory');
        is($got->{ids}, '1000 1001 50 63', 'user, group, groups');
        is($got->{pid}, 1, 'the command is process 1');
        my $start = time();
        is(system('lxc-stop', '-P', $folder, '-n', 'test', '-t', '10'), 0, 'lxc-stop');
        cmp_ok(time() - $start, '<', 5, 'soon');
        is(InitRootfs::dumped($rootdir)->{signal}, 34 + 3, 'by the stop signal');
        system('lxc-stop', '-P', $folder, '-n', 'test', '-k')
            if !InitRootfs::dumped($rootdir)->{signal};
    };
}

done_testing();
