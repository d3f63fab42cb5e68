#!/usr/bin/perl
# Updates of a container from version 1 of its image to 2 and 3, and back, with real LXC: an
# application with a volume and settings, changed by its administrator, who looks from inside each
# time. The container's configuration is kept by stand-ins for the modules of Proxmox VE.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use LxcContainer;
use TestImage qw(entry write_image);
use TestSupport qw(home settings_file);
use TestUpdate qw(fingerprint is_same_tree shell slurp write_file);

if (my $missing = LxcContainer::missing()) {
    plan(skip_all => $missing);
}
plan(skip_all => 'needs make') if !-d home() . '/native/init';
plan(skip_all => 'needs busybox-static')
    if qx(ldd /bin/busybox 2>&1) !~ /static|not a dynamic/;

require PVE::LXC::OCI;
require PVE::LXC::OCI::Update;
require PVE::OCI::Env;
require RealDaemon;

my $VMID = 101;
my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";

# Tells what it is and what it has, then serves until it is stopped.
my $APPLICATION = <<'END';
#!/bin/sh
{
    echo "version $(cat /app/version)"
    echo "arguments $*"
    echo "user $(id -u)"
    echo "directory $(pwd)"
    for name in VERSION LEVEL OWN GONE ADDED; do eval "echo \"$name=\$$name\""; done
    echo "configuration $(cat /etc/app.conf)"
    echo "data $(cat /data/database)"
} >/out/report.new 2>&1
trap 'echo stopped >>/out/stopped; exit 0' TERM INT USR1
mv /out/report.new /out/report
while :; do sleep 1 & wait $!; done
END

my @BUSYBOX = qw(cat echo id mv pwd sh sleep);

sub image ($version, %config) {
    return write_image(
        "$FOLDER/v$version.tar",
        {
            Entrypoint => ['/app/start'], Cmd => ["--version=$version"],
            Volumes => { '/data' => {} }, %config,
        },
        join('', map { entry('5', "$_/") } qw(bin app etc proc sys dev tmp))
            . entry('5', 'out/', mode => 01777)
            . entry('5', 'data/', uid => $version == 3 ? 71 : 70)
            . entry('0', 'data/database', content => "empty $version\n", uid => 70)
            . entry('0', 'bin/busybox', mode => 0755, content => slurp('/bin/busybox'))
            . join('', map { entry('2', "bin/$_", link => 'busybox') } @BUSYBOX)
            . entry('0', 'etc/passwd', content => "root:x:0:0::/root:/bin/sh\n")
            . entry('0', 'etc/app.conf', content => "of image $version\n")
            . entry('0', 'app/version', content => "$version\n")
            . entry('0', 'app/start', mode => 0755, content => $APPLICATION),
    );
}

my @IMAGE = (
    undef,
    image(
        1,
        Env => [qw(PATH=/bin VERSION=1 LEVEL=low GONE=1)], User => '70',
        StopSignal => 'SIGTERM', WorkingDir => '/app',
    ),
    image(
        2,
        Env => [qw(PATH=/bin VERSION=2 LEVEL=middle ADDED=2)], User => '70',
        StopSignal => 'SIGINT', WorkingDir => '/made/here',
    ),
    image(
        3,
        Env => [qw(PATH=/bin VERSION=3 LEVEL=high ADDED=3)], User => '71',
        StopSignal => 'SIGUSR1', WorkingDir => '/app',
    ),
);

my $rootdir = "$FOLDER/rootfs";
no warnings qw(once); ## no critic (ProhibitNoWarnings): variables of stand-ins
$PVE::LXC::Config::IS_NEW = 1;
$PVE::LXC::rootdirs{$VMID} = $rootdir;

sub conf () { return $PVE::LXC::Config::configs{$VMID} }

sub quietly ($code) {
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    my $is_done = eval { $code->(); 1 };
    my $error = $@;
    select($stdout);
    die $error if !$is_done;
    return;
}

# Boots it, and returns what it reports of itself, by its first words.
sub report () {
    unlink("$rootdir/out/report");
    my $container = LxcContainer->start($rootdir, conf(), sub { -s "$rootdir/out/report" });
    my %report = slurp("$rootdir/out/report") =~ /^(\w+)[ =](.*)$/mg;
    unlink("$rootdir/out/stopped");
    is($container->stop(), 0, 'it can be stopped');
    is(slurp("$rootdir/out/stopped"), "stopped\n", 'by its stop signal');
    return \%report;
}

sub raw ($key) {
    return (map { $_->[1] } grep { $_->[0] eq $key } conf()->{lxc}->@*)[-1];
}

my $DAEMON = RealDaemon->start('--spares', 0);
my @KEEP = (keep => ['/out', '/etc/app.conf']);

sub update ($version, %options) {
    return PVE::LXC::OCI::Update::update_container($VMID, $IMAGE[$version], \%options);
}

subtest 'version 1' => sub {
    mkdir($rootdir) or die $!;
    chown(100000, 100000, $rootdir) or die $!;
    mkdir("$rootdir/lost+found", 0700) or die $!; # as of a new ext4
    my $conf = { unprivileged => 1, arch => 'amd64', hostname => 'ct' };
    local $ENV{PVE_OCI_SOCKET} = $DAEMON->{socket};
    quietly(sub { PVE::LXC::OCI::restore_archive({ ids => {} }, $IMAGE[1], $rootdir, $conf) });
    $PVE::LXC::Config::configs{$VMID} = $conf;
    my $report = report();
    is($report->{version}, '1', 'the program');
    is($report->{user}, '70', 'the user');
    is($report->{data}, 'empty 1', 'the data');
};

# The administrator's work.
write_file("$rootdir/data/database", "precious\n");
shell($rootdir, 'chown 100070:100070 data/database; ln data/database data/second');
write_file("$rootdir/etc/app.conf", "mine\n");
my $env = PVE::OCI::Env::read_from($rootdir);
PVE::OCI::Env::set_variables($env, 'LEVEL=mine', 'OWN=1');
PVE::OCI::Env::write_to($rootdir, $env);
conf()->{memory} = 512;
my $first = fingerprint($rootdir, 'out', 'data');
my $first_conf = JSON->new->canonical->encode(conf());

subtest 'changes that are not kept refuse an update' => sub {
    @PVE::LXC::mounts = ();
    ok(!eval { update(2, socket => $DAEMON->{socket}); 1 }, 'refused');
    like($@, qr/entries were changed/, 'message');
    is_deeply(\@PVE::LXC::mounts, ["mount $VMID", "unmount $VMID"], 'it is unmounted');
    is_same_tree(fingerprint($rootdir, 'out', 'data'), $first, 'nothing has changed');
};

subtest 'a container that is running or locked is left alone' => sub {
    local $PVE::LXC::running{$VMID} = 1;
    ok(!eval { update(2, @KEEP); 1 }, 'refused');
    like($@, qr/CT 101 is running: stop it first/, 'message');
    local $PVE::LXC::running{$VMID} = 0;
    local conf()->{lock} = 'backup';
    ok(!eval { update(2, @KEEP); 1 }, 'refused');
    like($@, qr/CT is locked \(backup\)/, 'message');
};

subtest 'an error while the configuration is written takes everything back' => sub {
    local $PVE::LXC::Config::write_error = "no quorum\n";
    ok(!eval { update(2, @KEEP, socket => $DAEMON->{socket}); 1 }, 'an error');
    like($@, qr/no quorum/, 'message');
    is_same_tree(fingerprint($rootdir, 'out', 'data'), $first, 'nothing has changed');
};

subtest 'to version 2, by the daemon, with a snapshot' => sub {
    ok(
        !eval { update(2, @KEEP, socket => $DAEMON->{socket}, snapshot => 'before'); 1 },
        'where the storage cannot'
    );
    like($@, qr/cannot make snapshots: leave --snapshot out/, 'message');
    local $PVE::LXC::Config::has_snapshots = 1;
    @PVE::LXC::Config::done = ();
    my $reply = update(2, @KEEP, socket => $DAEMON->{socket}, snapshot => 'before');
    is_deeply(
        \@PVE::LXC::Config::done,
        ["snapshot $VMID before", "lock $VMID", "write $VMID", "unlock $VMID"], 'in this order'
    );
    my $messages = join("\n", $reply->{messages}->@*);
    like(
        $messages, qr/^variable LEVEL stays as it was set; the new image has another/m,
        'said'
    );
    like($messages, qr/^variable OWN stays as it was set$/m, 'said');
    my $report = report();
    my %wanted = (
        version => '2', arguments => '--version=2', user => '70', directory => '/made/here',
        VERSION => '2', LEVEL => 'mine', OWN => '1', GONE => '', ADDED => '2',
        configuration => 'mine', data => 'precious',
    );
    is_deeply($report, \%wanted, 'from inside');
    is(raw('lxc.signal.halt'), 'SIGINT', 'stop signal');
    is(conf()->{memory}, 512, 'the rest of the configuration stays');
    my $compared = PVE::LXC::OCI::Update::on_container('compare', $VMID);
    is_deeply(
        [map { $_->{path} } grep { !$_->{expected} } $compared->{comparison}->{changes}->@*],
        [],
        'no difference'
    );
};

my $second = fingerprint($rootdir, 'out', 'data');

subtest 'to version 3, by the embedded engine, with another user' => sub {
    my $reply = update(3, @KEEP, mode => 'embedded', chown => [[70, 71]]);
    like(join("\n", $reply->{messages}->@*), qr/of user 70 belong to user 71 now/, 'said');
    my $report = report();
    is_deeply([$report->@{qw(version user data)}], ['3', '71', 'precious'], 'from inside');
    is($report->{LEVEL}, 'mine', 'the variable of the administrator');
    is(
        shell($rootdir, 'stat -c %u:%h data/database'), "100071:2\n",
        'the data is the new user\'s'
    );
    is(raw('lxc.signal.halt'), 'SIGUSR1', 'stop signal');
    my $origin = decode_json(slurp("$rootdir/.pve.oci.json"));
    is(scalar($origin->{history}->@*), 2, 'history');
};

subtest 'back to version 2' => sub {
    PVE::LXC::OCI::Update::on_container(
        'rollback', $VMID, { socket => $DAEMON->{socket}, chown => [[71, 70]] },
    );
    is_same_tree(fingerprint($rootdir, 'out', 'data'), $second, 'exactly');
    my $report = report();
    is_deeply([$report->@{qw(version user data)}], ['2', '70', 'precious'], 'from inside');
    is(raw('lxc.signal.halt'), 'SIGINT', 'stop signal');
};

subtest 'a new user without --chown is warned about' => sub {
    my $reply = update(3, @KEEP, socket => $DAEMON->{socket});
    like(
        join("\n", $reply->{messages}->@*),
        qr{now runs as user 71, before it was 70, which owns data in /data /out: --chown 70:71},
        'with the paths'
    );
    PVE::LXC::OCI::Update::on_container('rollback', $VMID, { socket => $DAEMON->{socket} });
};

subtest 'settings of the administrator stay' => sub {
    local $PVE::LXC::Config::configs{$VMID} = Storable::dclone(conf());
    conf()->{lxc} = [grep { $_->[0] ne 'lxc.signal.halt' } conf()->{lxc}->@*];
    push conf()->{lxc}->@*, ['lxc.signal.halt', 'SIGTERM'];
    conf()->{entrypoint} = '/.pve.init /app/start mine';
    my $reply = update(3, @KEEP, socket => $DAEMON->{socket}, chown => [[70, 71]]);
    is(raw('lxc.signal.halt'), 'SIGTERM', 'stop signal');
    like(join("\n", $reply->{messages}->@*), qr/lxc.signal.halt stays as it was set/, 'said');
    is(conf()->{entrypoint}, '/.pve.init /app/start mine', 'command');
    is(report()->{arguments}, 'mine', 'from inside');
    PVE::LXC::OCI::Update::on_container(
        'rollback', $VMID, { socket => $DAEMON->{socket}, chown => [[71, 70]] },
    );
    is(raw('lxc.signal.halt'), 'SIGTERM', 'also when it goes back');
};

subtest 'planted settings do not reach the configuration' => sub {
    my $conf = Storable::dclone(conf());
    my $env = slurp("$rootdir/.pve.env");
    my $origin = slurp("$rootdir/.pve.oci.json");
    my $line = "\nlxc.hook.pre-start = /bin/touch $FOLDER/escaped";
    for my $key (qw(StopSignal WorkingDir User)) {
        my $planted = decode_json($origin);
        $planted->{config}->{$key} = "/x$line";
        $planted->{keep} = ["/x$line", '/../../etc', {}, undef];
        write_file("$rootdir/.pve.oci.json", encode_json($planted));
        write_file("$rootdir/.pve.env", "pve.env 2 0 1 1 0 0\0/x$line\0A=$line\0/x$line\0");
        my $is_done = eval { update(3, @KEEP, socket => $DAEMON->{socket}); 1 };
        eval { PVE::LXC::OCI::Update::on_container('rollback', $VMID); 1 } if $is_done;
        my @odd = grep { $_->[0] =~ /hook/ || $_->[1] =~ /\n/ } conf()->{lxc}->@*;
        is_deeply(\@odd, [], "$key: no line of the image is there");
        $PVE::LXC::Config::configs{$VMID} = Storable::dclone($conf);
        write_file("$rootdir/.pve.env", $env);
        write_file("$rootdir/.pve.oci.json", $origin);
    }
    ok(!-e "$FOLDER/escaped", 'nothing ran on the host');
};

subtest 'a container whose update was interrupted does not start, and says why' => sub {
    mkdir("$rootdir/.pve.oci.update", 0700) or die $!;
    write_file("$rootdir/.pve.oci.update/journal", '{"version":1,"phase":"in","kept":[]}');
    shell($rootdir, 'chown -R 100000:100000 .pve.oci.update');
    my $console = "$FOLDER/console";
    local conf()->{lxc} = [conf()->{lxc}->@*, ['lxc.console.logfile', $console]];
    unlink("$rootdir/out/report");
    my $container = LxcContainer->start($rootdir, conf(), sub { -s $console });
    $container->wait_for_end();
    like(slurp($console), qr/was interrupted.*pve-oci update or pve-oci rollback/s, 'message');
    ok(!-e "$rootdir/out/report", 'the application has not run');
    shell($rootdir, 'rm -r .pve.oci.update');
};

done_testing();
