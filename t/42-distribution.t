#!/usr/bin/perl -T
# Images of distributions that PVE does not know or does not manage, /run of Alpine's, and what the
# host does for an application's network: on root file systems made by hand, in taint mode.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/lib/stand-ins", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use PVE::LXC::OCI::Distribution;
use PVE::LXC::OCI::Runtime;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

my $DIRECTORY = tempdir(CLEANUP => 1);
my @APPLICATION = (entrypoint => '/.pve.init', unprivileged => 1);

sub write_file ($path, $content) {
    make_path($path =~ s{/[^/]*\z}{}r);
    open(my $handle, '>', $path) or die "$path: $!";
    print {$handle} $content;
    close($handle) or die $!;
    return;
}

sub slurp ($path) {
    open(my $handle, '<', $path) or return "$path: $!";
    local $/ = undef;
    return readline($handle) // '';
}

my $count = 0;

# Makes a rootfs of these files (content), directories (undef) and links (reference to the target).
sub rootfs (%files) {
    my $rootdir = "$DIRECTORY/" . (100 + $count++) . '/rootfs';
    make_path($rootdir);
    for my $name (sort keys %files) {
        my $content = $files{$name};
        if (!defined($content)) {
            make_path("$rootdir/$name");
        } elsif (ref($content)) {
            make_path("$rootdir/$name" =~ s{/[^/]*\z}{}r);
            symlink($content->$*, "$rootdir/$name") or die $!;
        } else {
            write_file("$rootdir/$name", $content);
        }
    }
    return $rootdir;
}

# Returns the configuration, warnings and the log.
sub settle ($rootdir, %conf) {
    my ($conf, @warnings) = ({ @APPLICATION, %conf });
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval {
        PVE::LXC::OCI::Distribution::settle(
            $conf, $rootdir,
            sub ($line) { push @warnings, $line }
        );
    };
    my $error = $@;
    select($stdout);
    is($error, '', 'no error');
    return ($conf, \@warnings, $text // '');
}

write_file("$DIRECTORY/resolv.conf", "search example.org\nnameserver 192.0.2.1\nnameserver ::2\n");
$PVE::LXC::OCI::Distribution::RESOLV_CONF = "$DIRECTORY/resolv.conf";

my $RESOLV_CONF = "search example.org\nnameserver 192.0.2.1\nnameserver ::2\n";
my $LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

my %UNKNOWN = (
    wolfi => { 'etc/os-release' => "ID=wolfi\n" },
    'Debian without its version' => { 'etc/os-release' => "ID=debian\n" },
);
for my $name (sort keys %UNKNOWN) {
    subtest "unknown to PVE: $name" => sub {
        my $rootdir = rootfs($UNKNOWN{$name}->%*);
        my ($conf, $warnings, $log) = settle($rootdir);
        is($conf->{ostype}, 'unmanaged', 'ostype');
        is(scalar($warnings->@*), 1, 'a warning');
        like(
            $warnings->[0], qr/does not know .*unable to .*'unmanaged'\z/,
            '... that says why'
        );
        is(slurp("$rootdir/etc/resolv.conf"), $RESOLV_CONF, 'resolv.conf');
        ($conf, $warnings) = settle(rootfs($UNKNOWN{$name}->%*), ostype => 'debian');
        is($conf->{ostype}, 'debian', 'what the user chose stays');
        is_deeply($warnings, [], '... without a warning');
    };
}

subtest 'an image without distribution gets hosts, hostname and resolv.conf' => sub {
    my $rootdir = rootfs();
    my ($conf, $warnings, $log) = settle($rootdir);
    ok(!exists($conf->{ostype}), 'PVE itself finds that it is unmanaged');
    is_deeply($warnings, [], 'no warning: there is nothing to know');
    my $id = $rootdir =~ s{.*/([0-9]+)/rootfs}{$1}r;
    is(slurp("$rootdir/etc/hostname"), "CT$id\n", 'hostname');
    is(slurp("$rootdir/etc/hosts"), "${LOCALHOST}127.0.1.1 CT$id\n", 'hosts');
    is(slurp("$rootdir/etc/resolv.conf"), $RESOLV_CONF, 'resolv.conf');
    is(sprintf('%o %d', (stat("$rootdir/etc/hosts"))[2, 4]), '100644 100000', 'mode, owner');
    like($log, qr{\Awrote /etc/hostname, /etc/hosts, /etc/resolv\.conf: [^\n]+\n\z}, 'said');
    $rootdir = rootfs();
    settle(
        $rootdir,
        hostname => 'web.example.net', nameserver => '198.51.100.1 198.51.100.2',
        searchdomain => 'a.test b.test',
        net0 => 'name=eth0,ip=10.0.0.5/24,ip6=fd00::5/64', net1 => 'name=eth1,ip=dhcp',
    );
    is(slurp("$rootdir/etc/hostname"), "web\n", 'own hostname');
    is(
        slurp("$rootdir/etc/hosts"),
        "${LOCALHOST}10.0.0.5 web.example.net web\nfd00::5 web.example.net web\n",
        'own name and addresses',
    );
    is(
        slurp("$rootdir/etc/resolv.conf"),
        "search a.test b.test\nnameserver 198.51.100.1\nnameserver 198.51.100.2\n",
        'own name servers',
    );
};

subtest 'never over content, never out of rootfs' => sub {
    my $victim = "$DIRECTORY/victim";
    write_file("$victim/resolv.conf", '');
    my $rootdir = rootfs(
        'etc/hosts' => "127.0.0.1 mine\n", 'etc/hostname' => '',
        'etc/resolv.conf' => \'../run/systemd/resolve/stub-resolv.conf',
    );
    settle($rootdir);
    is(slurp("$rootdir/etc/hosts"), "127.0.0.1 mine\n", 'content stays');
    like(slurp("$rootdir/etc/hostname"), qr/\ACT/, 'an empty file is filled');
    ok(!-l "$rootdir/etc/resolv.conf", 'a dangling link is replaced');
    is(slurp("$rootdir/etc/resolv.conf"), $RESOLV_CONF, '... by a file');
    $rootdir = rootfs('etc/resolv.conf' => \'../other', other => "nameserver 1.1.1.1\n");
    settle($rootdir);
    is(slurp("$rootdir/other"), "nameserver 1.1.1.1\n", 'content behind a link stays');
    ok(-l "$rootdir/etc/resolv.conf", '... and so does the link');
    $rootdir = rootfs('etc/resolv.conf' => \"$victim/resolv.conf", 'etc/hosts' => undef);
    settle($rootdir);
    is(slurp("$victim/resolv.conf"), '', 'a link to the host is not followed');
    is(slurp("$rootdir/etc/resolv.conf"), $RESOLV_CONF, '... but replaced');
    ok(-d "$rootdir/etc/hosts", 'a directory stays');
    $rootdir = rootfs(etc => \$victim);
    my (undef, $warnings) = settle($rootdir);
    is(join(' ', map { s{.*/}{}r } glob("$victim/*")), 'resolv.conf', 'nothing behind /etc');
    like($warnings->[0], qr{\Acannot write /etc/hosts}, '... which is said');
};

subtest 'a known distribution is left to PVE' => sub {
    my $rootdir = rootfs('etc/os-release' => "ID=debian\n", 'etc/debian_version' => "12.1\n");
    my ($conf, $warnings, $log) = settle($rootdir);
    ok(!exists($conf->{ostype}), 'ostype is not set');
    is_deeply([$warnings, $log], [[], ''], 'nothing is said');
    ok(!-e "$rootdir/etc/hosts", 'nothing is written');
    ok(
        -d "$rootdir/etc/network",
        'but the directory of ifupdown is there, for pve-container 6.0'
    );
    is((stat(_))[4], 100000, '... owned by root');
};

my @ALPINE = ('etc/os-release' => "ID=alpine\n", 'etc/alpine-release' => "3.20\n");
subtest '/run of an Alpine image' => sub {
    my $rootdir = rootfs(@ALPINE);
    my ($conf) = settle($rootdir);
    ok(-d "$rootdir/run", 'is made: without it the container does not start');
    ok(!exists($conf->{ostype}), 'the container is Alpine');
    ($conf) = settle(rootfs(@ALPINE, 'run/lock' => undef));
    ok(!exists($conf->{ostype}), 'also with the base image\'s empty /run/lock');
    my $log;
    for my $run (['run/app' => undef], ['run/lock/x' => 'y'], ['run' => \'/var/run']) {
        ($conf, my $warnings, $log) = settle(rootfs(@ALPINE, $run->@*));
        is($conf->{ostype}, 'unmanaged', "$run->[0]: nothing is mounted over it");
        like($log, qr{\A/run [^\n]+'unmanaged'\n}, '... which is said');
        ($conf, $warnings) = settle(rootfs(@ALPINE, $run->@*), ostype => 'alpine');
        is($conf->{ostype}, 'alpine', '... but the user wins');
        like($warnings->[0], qr{\A/run .*will not find}, '... and is warned');
        ($conf) = settle(rootfs(@ALPINE, $run->@*), entrypoint => undef);
        ok(!exists($conf->{ostype}), 'a system of its own mounts there itself');
    }
};

# Of a network device, what becomes of it.
sub provide ($is_new, %conf) {
    my ($conf, @warnings) = ({%conf});
    local $PVE::LXC::Config::IS_NEW = $is_new;
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    PVE::LXC::OCI::Runtime::provide($conf, sub ($line) { push @warnings, $line });
    select($stdout);
    my @keys = map { join(' = ', $_->@*) } ($conf->{lxc} // [])->@*;
    return ($conf, \@keys, \@warnings, $text // '');
}

my $SHM = 'lxc.mount.entry = shm dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0';
subtest 'network and /dev/shm, where pve-container can do it' => sub {
    my ($conf, $keys, $warnings) = provide(
        1,
        entrypoint => '/.pve.init', net0 => 'ip=dhcp,name=eth0',
        net1 => 'host-managed=0,ip=dhcp',
        net2 => 'ip6=auto,name=eth2',
    );
    is($conf->{net0}, 'host-managed=1,ip=dhcp,name=eth0', 'by the host');
    is($conf->{net1}, 'host-managed=0,ip=dhcp', 'what the user set stays');
    is($conf->{net2}, 'host-managed=1,ip6=manual,name=eth2', 'SLAAC is the kernel\'s');
    is_deeply([$keys, $warnings], [[], []], 'no keys, no warnings');
};

subtest '... and where it cannot' => sub {
    my ($conf, $keys, $warnings, $log) = provide(
        0,
        net0 => 'gw=10.0.0.1,ip=10.0.0.5/24,name=eth0',
        net1 => 'gw6=fd00::1,ip=dhcp,ip6=fd00::5/64,name=eth1',
        net2 => 'ip=10.1.0.5/24,link_down=1', net3 => 'ip=10.2.0.5/24',
        lxc => [['lxc.net.3.flags', 'down']],
    );
    is_deeply(
        $keys,
        [
            'lxc.net.3.flags = down',
            'lxc.net.0.flags = up', 'lxc.net.0.ipv4.address = 10.0.0.5/24',
            'lxc.net.0.ipv4.gateway = 10.0.0.1',
            'lxc.net.1.flags = up', 'lxc.net.1.ipv6.address = fd00::5/64',
            'lxc.net.1.ipv6.gateway = fd00::1',
            $SHM,
        ],
        'static addresses by LXC, /dev/shm',
    );
    is(scalar($warnings->@*), 1, 'a warning');
    like($warnings->[0], qr/\Anetwork device net1: .*DHCP/, '... about DHCP');
    like($log, qr/^network device net0 .*lxc\.net\.0/m, 'what was done is said');
};

done_testing();
