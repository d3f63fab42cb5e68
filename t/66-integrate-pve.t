# pve-oci integrate with the real modules of pve-container, which then create a container. The
# modules are public, but not part of this tree. PVEHARNESS_SRC, or ../pve/src beside the tree, is a
# directory with pve-container-6.1.10, pve-container-5a8b3f9 (6.0.1) and what they need. The
# directory harness beside it has what can only be on a node, and a program that runs the create
# flow.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;

use FakeNode qw(install_file install_ours missing program read_text);
use TestImage qw(entry write_image);
use TestSupport qw(root);

my ($SOURCES) = grep { -d } grep { defined } $ENV{PVEHARNESS_SRC}, root() . '/../pve/src';
plan(skip_all => 'needs the modules of Proxmox VE: PVEHARNESS_SRC') if !defined($SOURCES);
my $HARNESS = "$SOURCES/../harness";
plan(skip_all => "needs '$HARNESS'") if !-e "$HARNESS/create.pl";
# Modules that Proxmox VE's own modules load first, of the packages that the harness's README names.
my @ABSENT =
    grep { system($^X, '-e', "eval { require $_ } or exit(1)") != 0 }
    qw(AnyEvent Crypt::OpenSSL::Random Date::Format Net::LDAP RRDs);
plan(skip_all => "needs what $HARNESS/README names: @ABSENT") if @ABSENT;
if (my $missing = missing()) {
    plan(skip_all => $missing);
}

require RealDaemon;
my $daemon = RealDaemon->start('--spares', 0);
my $PROGRAM = root() . '/bin/pve-oci';
my $PERL5 = $FakeNode::PERL5;
my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die $!;

# Modules that only a node has, as the harness replaces them; written out, because here nothing but
# @INC decides what is loaded.
sub install_stubs ($tree) {
    local $ENV{PVEHARNESS_SRC} = $SOURCES;
    local $ENV{PVEHARNESS_CTDIR} = $tree;
    local $ENV{PVEHARNESS_VERBOSE} = 1;
    my $code = 'require PVE::API2::LXC; require PVE::Systemd; require PVE::RPCEnvironment;'
        . ' require PVE::API2::LXC::Status';
    my ($status, $output) = program(
        $^X, '-T', "-I$HARNESS/lib", "-I$HARNESS/stubmod", '-MPVEHarness', '-e', $code,
    );
    for my $name ($output =~ /^harness: stubbed (\S+)$/mg) {
        install_file("$PERL5/" . $name =~ s{::}{/}gr . '.pm', <<"EOM");
package $name;
our \$AUTOLOAD;
sub import {
    my (\$class, \@names) = \@_;
    my \$to = caller;
    *{"\${to}::\$_"} = sub { return } for grep { /\\A\\w+\\z/ } \@names;
}
sub AUTOLOAD { return }
sub DESTROY { }
1;
EOM
    }
    return;
}

sub install_tree ($path) {
    system('cp', '-a', "$path/.", $PERL5) == 0 or die "cp: $path\n" if -d $path;
    return;
}

sub install_pve ($version) {
    system('rm', '-rf', "$PERL5/PVE");
    for my $name (qw(common storage cluster guest-common access-control)) {
        install_tree("$SOURCES/pve-$name/src");
    }
    install_tree("$SOURCES/pve-manager");
    install_tree("$HARNESS/stub");
    install_tree("$HARNESS/stubmod") if !-e "$PERL5/PVE/RS/OCI.pm";
    my $tree = "$SOURCES/pve-container-$version";
    install_tree("$tree/src");
    install_stubs($tree);
    install_ours();
    return;
}

sub integrate (@options) { return program($PROGRAM, 'integrate', @options); }

# Creates a container by the create flow of the modules in force; returns the task log with the
# configuration.
my $count = 0;

sub create ($archive) {
    my $rootdir = "$DIRECTORY/" . ++$count;
    mkdir($_) for "$DIRECTORY/empty", '/run/pve';
    install_file("$DIRECTORY/lib/PVEHarness.pm", "package PVEHarness;\n1;\n");
    local $ENV{PVE_OCI_SOCKET} = $daemon->{socket};
    my ($status, $output) = program(
        $^X, '-T', "-I$DIRECTORY/lib", "$HARNESS/create.pl",
        '--param', 'net0=name=eth0,bridge=vmbr0,ip=10.0.0.5/24',
        "$DIRECTORY/empty", $archive, $rootdir,
    );
    return ($output, $rootdir);
}

# What LXC gets when this container is started, by the modules in force.
sub lxc_config ($log) {
    install_file("$DIRECTORY/100.conf", $log =~ s/\A.*?\n----- [^\n]*\n//sr);
    install_file("$DIRECTORY/start.pl", <<'EOM');
use v5.36;
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
require PVE::LXC;
require PVE::Tools;
no warnings;
*PVE::Network::read_bridge_mtu = sub { 1500 };
*PVE::LXC::make_apparmor_config = sub { '' };
my ($path) = $ARGV[0] =~ /(.*)/;
my $text = PVE::Tools::file_get_contents($path);
my $conf = PVE::LXC::Config::parse_pct_config('/lxc/100.conf', $text);
PVE::LXC::update_lxc_config(100, $conf);
EOM
    my ($status, $output) =
        program('/usr/bin/perl', '-T', "$DIRECTORY/start.pl", "$DIRECTORY/100.conf");
    is($status, 0, 'it can be started') or diag($output);
    return read_text('/var/lib/lxc/100/config');
}

my $CONFIG = { Cmd => ['/bin/app', 'a b'], Env => ['A=b'], StopSignal => 'USR1' };
my $IMAGE = write_image(
    "$DIRECTORY/image.tar",
    $CONFIG,
    entry('5', 'bin/')
        . entry('0', 'bin/app', mode => 0755, content => "#!/bin/sh\n")
        . entry('5', 'etc/')
        . entry('0', 'etc/passwd', content => "root:x:0:0::/root:/bin/sh\n")
        . entry('0', 'etc/os-release', content => "ID=debian\n")
        . entry('0', 'etc/debian_version', content => "12.5\n"),
);

my %VERSIONS = (
    '6.1.10' => ['6.1.10', 'pve-container-6.1.10.patch', qr{^entrypoint: /\.pve\.init$}m],
    '6.0.1' => ['5a8b3f9', 'pve-container-6.0.1.patch', qr{^lxc\.init\.cmd: /\.pve\.init$}m],
);
for my $name (sort keys %VERSIONS) {
    subtest "pve-container $name" => sub {
        my ($version, $patch, $key) = $VERSIONS{$name}->@*;
        plan(skip_all => "no pve-container-$version") if !-d "$SOURCES/pve-container-$version";
        install_pve($version);
        my ($code, $output) = integrate();
        is($code, 0, 'integrated') or diag($output);
        like($output, qr/\Q$patch\E/, 'by its patch');
        for my $module (qw(PVE/API2/LXC.pm PVE/LXC.pm PVE/LXC/Create.pm)) {
            my ($status, $text) = program('/usr/bin/perl', '-Tc', "/etc/perl/$module");
            is($status, 0, "perl -Tc $module") or diag($text) if -e "/etc/perl/$module";
        }
        my ($log, $rootdir) = create($IMAGE);
        like($log, qr/^TASK OK$/m, 'a container is created') or diag($log);
        like($log, $key, '... by our create flow');
        like($log, qr/^ostype: debian$/m, '... of its distribution');
        ok(-e "$rootdir/.pve.env", '... with its command');
        my $lxc_config = lxc_config($log);
        my %lines = (
            'its output is kept' => qr{lxc\.console\.logfile = /var/log/lxc/100-console\.log},
            '... up to a size' => qr{lxc\.console\.size = 1048576},
            '... and an older one' => qr{lxc\.console\.rotate = 1},
            'its address' => qr{lxc\.net\.0\.ipv4\.address = 10\.0\.0\.5/24},
            '/dev/shm' => qr{lxc\.mount\.entry = shm dev/shm [^\n]*},
        );
        like($lxc_config, qr/^$lines{$_}$/m, $_) for sort keys %lines;
        is((integrate('--remove'))[0], 0, 'removed');
        ok(!-e '/etc/perl/PVE', 'nothing of ours in /etc/perl');
        ($log) = create($IMAGE);
        unlike($log, $key, 'the original create flow again');
    };
}

subtest 'from one version to the other' => sub {
    plan(skip_all => 'needs both versions')
        if grep { !-d "$SOURCES/pve-container-$_->[0]" } values %VERSIONS;
    install_pve('5a8b3f9');
    is((integrate())[0], 0, 'integrated');
    install_pve('6.1.10');
    my ($log) = create($IMAGE);
    unlike($log, qr{/\.pve\.init}, 'after the update its own flow is in force');
    my ($code, $output) = integrate('--refresh');
    is($code, 0, 'the trigger patches again') or diag($output);
    ($log) = create($IMAGE);
    like($log, $VERSIONS{'6.1.10'}->[2], 'and ours is in force');
    my ($status) = integrate('--engine-only');
    is($status, 0, 'the engine only');
    ($log, my $rootdir) = create($IMAGE);
    like($log, qr{^entrypoint: /bin/app 'a b'$}m, 'their create flow');
    ok(-e "$rootdir/bin/app", '... extracts by our engine');
};

done_testing();
