#!/usr/bin/perl
# From image to running container: an image is extracted by the real engine as the create flow does
# it, by the daemon or embedded, and booted by real LXC. Its command is a shell that dumps process 1
# as it sees it from inside, which must be byte by byte what the image says; lxc-stop ends it by its
# stop signal.
#
# Images come from Debian's busybox-static, and from busybox-glibc.tar and alpine.tar in the folder
# images of what PVE_OCI_SHARED names.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use LxcContainer;
use TestImage qw(entry write_image);
use TestSupport qw(at_most home root settings_file wait_until);

if (my $missing = LxcContainer::missing()) {
    plan(skip_all => $missing);
}
plan(skip_all => 'needs make') if !-d home() . '/native/init';

require PVE::LXC::OCI;
require PVE::OCI::JVM;
require RealDaemon;

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die $!;
my $SHARED = ($ENV{PVE_OCI_SHARED} // root() . '/../shared') . '/images';

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or return '';
    local $/ = undef;
    return readline($handle) // '';
}

sub bytes (@texts) {
    utf8::encode($_) for @texts;
    return @texts;
}

# The single layer of an archive from elsewhere, as tar.
sub layer_of ($archive) {
    my $blob = sub ($digest) { qx(tar -xOf $archive blobs/\Q@{[$digest =~ s{:}{/}r]}\E) };
    my $index = decode_json(qx(tar -xOf $archive index.json));
    my $manifest = decode_json($blob->($index->{manifests}->[0]->{digest}));
    my $bytes = $blob->($manifest->{layers}->[0]->{digest});
    return Compress::Zlib::memGunzip($bytes) // $bytes;
}

my %BASE;
$BASE{static} =
      entry('5', 'bin/')
    . entry('0', 'bin/busybox', mode => 0755, content => slurp('/bin/busybox'))
    . join('', map { entry('2', "bin/$_", link => 'busybox') } qw(cat env id pwd readlink sh sleep))
    if qx(file -L /bin/busybox 2>/dev/null || ldd /bin/busybox 2>&1) =~ /static|not a dynamic/;
for my $name (qw(busybox-glibc alpine)) {
    $BASE{$name} = layer_of("$SHARED/$name.tar") if -e "$SHARED/$name.tar";
}

# Dumps, then waits for whichever of these signals comes.
my $SCRIPT = <<'EOS';
#!/bin/sh
cat /proc/1/cmdline > /out/cmdline
cat /proc/1/environ > /out/environ
readlink /proc/1/cwd > /out/cwd
cat /proc/1/status > /out/status
cat /proc/1/uid_map > /out/uid_map
for s in 1 2 3 10 12 15 37 64; do trap "echo $s > /out/signal; exit 7" $s; done
echo $$ > /out/ready
while :; do sleep 1 & wait $!; done
EOS

my $TOP =
      entry('5', 'out/', mode => 01777)
    . entry('5', 'opt/')
    . entry('5', 'opt/my bin/')
    . entry('0', 'opt/my bin/entry', mode => 0755, content => $SCRIPT)
    . entry('5', 'etc/')
    . entry('0', 'etc/passwd', content => "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")
    . entry('0', 'etc/group', content => "audio:x:63:app\nstaff:x:50:x,app\napp:x:1001:\n")
    . join('', map { entry('5', "$_/") } qw(dev proc sys tmp));

my $PATH = 'PATH=/nowhere:/opt/my bin:/bin:/usr/bin';
my @ODD = (
    '  a  b ', 'a"b', "it's", q{"'"}, '$HOME $(id) `id`', '*', '?', '', '-', '--', '#', ';',
    "a\tb", '\\n\\',
    "\x{e4}\x{20ac}\x{1f600}", '=', 'x=y=z', '', 'x' x 65536, '',
);
my $BYTES_OF_ENV = [
    $PATH, 'A=1 2', 'E=', 'a.b=c', 'X-Y==z=', 'LD_PRELOAD=/none.so', "U=\x{e4}\x{1f600}",
    'Q="\'`$(id)\\',
    'S=  blanks  ', "T=\tx", 'L=' . 'y' x 65536, map { "N$_=$_" } 1 .. 1000,
];
my $OWN_MAP =
    [map { (['lxc.idmap', "$_ 0 110000 1000"], ['lxc.idmap', "$_ 1000 120000 2000"]) } qw(u g)];

# Of each image: its config; what process 1 must be: arguments, directory, "uid gid groups", signal.
my @IMAGES = (
    {
        name => 'odd arguments and variables',
        config => {
            Entrypoint => ['/opt/my bin/entry'], Cmd => \@ODD, Env => $BYTES_OF_ENV,
            WorkingDir => '/work/new dir', StopSignal => 'RTMIN+3',
        },
        argv => ['/bin/sh', '/opt/my bin/entry', @ODD],
        cwd => '/work/new dir', ids => '0 0', signal => 37, home => '/root',
    },
    {
        name => 'user by name, command found in PATH',
        config => {
            Entrypoint => ['entry'], Cmd => ['a b'], Env => [$PATH, 'A=b'], User => 'app',
            StopSignal => 'TERM',
            WorkingDir => '/opt/my bin/../', Volumes => { '/data/x' => {}, '/../../up' => {} },
        },
        argv => ['/bin/sh', '/opt/my bin/entry', 'a b'],
        cwd => '/opt', ids => '1000 1001 50 63', signal => 15, home => '/',
        directories => ['data/x', 'up'],
    },
    {
        name => 'unknown user and group, quoting of a shell, no Entrypoint',
        config => {
            Cmd => ['sh', '-c', q{. "/opt/my bin/entry" 'x  y' "$0"; echo "a; 'b'"}, "it's"],
            Env => [$PATH],
            User => '1700:1800', StopSignal => '10', WorkingDir => '/tmp',
        },
        argv => ['sh', '-c', q{. "/opt/my bin/entry" 'x  y' "$0"; echo "a; 'b'"}, "it's"],
        cwd => '/tmp', ids => '1700 1800', signal => 10, home => '/',
    },
    {
        name => 'Entrypoint only, garbage as stop signal, variable that is twice there',
        config => {
            Entrypoint => ['/opt/my bin/entry'],
            Env => ['A=1', $PATH, 'A=2', 'not a variable'], User => 'app:staff',
            StopSignal => 'garbage',
        },
        argv => ['/bin/sh', '/opt/my bin/entry'],
        env => ['A=2', $PATH], cwd => '/', ids => '1000 50', signal => 15, home => '/',
    },
);

# What LXC sets, and /.pve.init when it starts.
my $OF_LXC = qr/\A(?:container|container_ttys|TERM|HOSTNAME)=/;

sub status_of_process_1 ($rootdir) {
    my %field = slurp("$rootdir/out/status") =~ /^(\w+):[ \t]*(.*?)[ \t]*$/mg;
    my ($uid, $gid) = map { (split(' ', $field{$_} // ''))[1] // '?' } qw(Uid Gid);
    return join(' ', $uid, $gid, sort { $a <=> $b } split(' ', $field{Groups} // ''));
}

sub boot ($image, $rootdir, $conf) {
    my $container = LxcContainer->start($rootdir, $conf, sub { -s "$rootdir/out/ready" });
    my $config = $image->{config};
    my $cmdline = join('', map { "$_\0" } bytes($image->{argv}->@*));
    ok(slurp("$rootdir/out/cmdline") eq $cmdline, 'arguments')
        or diag(explain([split(/\0/, slurp("$rootdir/out/cmdline"))]));
    my $environ = join('', grep { !/$OF_LXC/ } slurp("$rootdir/out/environ") =~ /([^\0]*\0)/g);
    ok(
        $environ eq join(
            '',
            map { "$_\0" } bytes(($image->{env} // $config->{Env})->@*, "HOME=$image->{home}")
        ),
        'variables'
    ) or diag(explain([split(/\0/, $environ)]));
    is(slurp("$rootdir/out/cwd"), "$image->{cwd}\n", 'working directory');
    is(status_of_process_1($rootdir), $image->{ids}, 'user, group, groups');
    is(slurp("$rootdir/out/ready"), "1\n", 'the command is process 1');
    my $start = time();
    is($container->stop(), 0, 'lxc-stop');
    cmp_ok(time() - $start, '<', at_most(5), 'soon');
    is(slurp("$rootdir/out/signal"), "$image->{signal}\n", 'by the stop signal');
    return;
}

my $daemon = RealDaemon->start('--spares', 0);
my $serial = 0;
no warnings qw(once); # the modules were loaded at run time

sub create_and_boot ($base, $image, %with) {
    my $archive = write_image(
        "$DIRECTORY/image" . $serial++ . '.tar',
        $image->{config}, $BASE{$base}, $TOP
    );
    my $rootdir = "$DIRECTORY/rootfs" . $serial++;
    my $conf = { unprivileged => 1, $with{lxc} ? (lxc => [$with{lxc}->@*]) : () };
    my (undef, $root_uid, $root_gid) = PVE::LXC::parse_id_maps($conf);
    mkdir($rootdir) or die $!;
    mkdir("$rootdir/lost+found", 0700) or die $!; # as of a new ext4
    chown($root_uid, $root_gid, $rootdir) or die $!;
    local $ENV{PVE_OCI_SOCKET} = $with{embedded} ? "$DIRECTORY/none" : $daemon->{socket};
    local $PVE::OCI::Settings::FILE = settings_file('daemon-only = no');
    local $PVE::LXC::Config::IS_NEW = $with{is_new};
    @PVE::LXC::Create::calls = ();
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval {
        PVE::LXC::OCI::restore_archive(
            { ids => {} }, $archive, $rootdir, $conf, 0,
            undef
        );
    };
    my $error = $@;
    select($stdout);
    is($error, '', 'created') or return;
    is_deeply(\@PVE::LXC::Create::calls, [], 'without the original function');
    ok(-d "$rootdir/$_", "volume $_") for ($image->{directories} // [])->@*;
    boot($image, $rootdir, $conf);
    return;
}

my $EMBEDDED = eval { PVE::OCI::JVM::settings(); 1 };
# Each image of one base both ways, of the others in turn.
for my $base (qw(static busybox-glibc alpine)) {
    for my $i (0 .. $#IMAGES) {
        for my $embedded ($base eq 'static' ? (0, 1) : ($i + ($base eq 'alpine')) % 2) {
            subtest "$base: $IMAGES[$i]->{name}" . ($embedded ? ', embedded' : '') => sub {
                plan(skip_all => "no image of $base: busybox-static, PVE_OCI_SHARED")
                    if !$BASE{$base};
                plan(skip_all => 'no embedded engine') if $embedded && !$EMBEDDED;
                my $is_new = ($i + $embedded) % 2;
                create_and_boot($base, $IMAGES[$i], is_new => $is_new, embedded => $embedded);
            };
        }
    }
}
for my $embedded ($EMBEDDED ? (0, 1) : 0) {
    my ($base) = grep { $BASE{$_} } sort keys %BASE;
    subtest 'id map of the user' . ($embedded ? ', embedded' : '') => sub {
        plan(skip_all => 'no image') if !$base;
        create_and_boot($base, $IMAGES[1], is_new => 1, lxc => $OWN_MAP, embedded => $embedded);
    };
}

done_testing();
