# Real LXC: an unprivileged container starts by /.pve.init, and its command gets exactly the
# arguments, variables, directory and ids of the image's config; lxc-stop ends it by its stop
# signal.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use Test::More;

use InitRootfs;
use LxcContainer;
use TestSupport qw(at_most);

for my $missing (InitRootfs::missing(), LxcContainer::missing()) {
    plan(skip_all => $missing) if defined($missing);
}

require PVE::LXC::OCI;
require PVE::LXC::OCI::Init;

my ($ARCH) = { x86_64 => 'amd64', aarch64 => 'arm64' }->{ qx(uname -m) =~ s/\s//gr };
my $INIT = $ARCH && InitRootfs::build_init($ARCH);
plan(skip_all => 'no /.pve.init for this machine') if !$INIT;
no warnings qw(once); # the modules were loaded at run time
@PVE::LXC::OCI::Init::DIRECTORIES = ($INIT =~ s{/\Q$ARCH\E/pve\.init\z}{}r);

my $ARGUMENTS =
    ['  a  b ', 'a"b', "it's", '$HOME $(id)', '*', '', "a\tb", "\x{e4}\x{1f600}", 'x' x 65536, '#'];
my $VARIABLES = [
    'PATH=/bin', 'A=1 2', 'E=', 'a.b=c', 'X-Y==z=', 'LD_PRELOAD=/none.so', "U=\x{e4}",
    map { "N$_=$_" } 1 .. 1000
];

sub bytes (@texts) {
    utf8::encode($_) for @texts;
    return @texts;
}

for my $is_new (0, 1) {
    subtest 'configuration as of pve-container ' . ($is_new ? '6.1' : '6.0') => sub {
        local $PVE::LXC::Config::IS_NEW = $is_new;
        my $rootdir = InitRootfs::create(100000);
        LxcContainer::write_file(
            "$rootdir/etc/passwd",
            "root:x:0:0::/:\napp:x:1000:1001::/:\n"
        );
        LxcContainer::write_file("$rootdir/etc/group", "audio:x:63:app\nstaff:x:50:x,app\n");
        LxcContainer::write_file("$rootdir/wait", '');
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
        my $container = LxcContainer->start(
            $rootdir, $conf,
            sub { InitRootfs::dumped($rootdir)->{pid} }
        );
        my $got = InitRootfs::dumped($rootdir);
        is_deeply($got->{argv}, ['dump', bytes($ARGUMENTS->@*)], 'arguments');
        my @image = grep { !/\A(?:container|container_ttys|TERM|HOSTNAME)=/ } $got->{env}->@*;
        is_deeply([sort @image], [sort('HOME=/', bytes($VARIABLES->@*))], 'variables');
        note(
            'set by LXC: ',
            join(' ', grep { /\A(?:container|container_ttys|TERM|HOSTNAME)=/ } $got->{env}->@*)
        );
        is($got->{cwd}, '/work/new dir', 'working directory');
        is($got->{ids}, '1000 1001 50 63', 'user, group, groups');
        is($got->{pid}, 1, 'the command is process 1');
        my $start = time();
        is($container->stop(), 0, 'lxc-stop');
        cmp_ok(time() - $start, '<', at_most(5), 'soon');
        is(InitRootfs::dumped($rootdir)->{signal}, 34 + 3, 'by the stop signal');
    };
}

done_testing();
