# Applications as their authors meant them: images of Debian packages with configurations as the
# official ones have, created by the create flow, booted by real LXC, asked something, ended by
# their stop signal and started again with their data.
#
# The first run downloads packages and takes two minutes; what it makes of them stays in target.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(time);

use Applications qw(base image);
use LxcContainer;
use TestImage qw(entry);
use TestSupport qw(home wait_until);

# root file systems of 15,000 entries are made and removed again: a disk takes twice as long
BEGIN { $ENV{TMPDIR} //= '/dev/shm' if -w '/dev/shm' }

if (my $missing = LxcContainer::missing()) {
    plan(skip_all => $missing);
}
plan(skip_all => 'needs make') if !-d home() . '/native/init';
my $BASE = base();
plan(skip_all => $BASE) if !ref($BASE);

require PVE::LXC::OCI;
require RealDaemon;

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die $!;
my $daemon = RealDaemon->start('--spares', 0);
local $ENV{PVE_OCI_SOCKET} = $daemon->{socket};

# Seconds that a stop by signal may take; on a machine with more to do than processors, longer.
my ($LOAD) =
    do { open(my $handle, '<', '/proc/loadavg') or die $!; readline($handle) =~ /\A(\S+)/ };
my $STOP_TIME = $LOAD > 2 ? $LOAD : 2;

my $PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
my @OF_LXC = ('TERM=linux', 'container=lxc');

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or return '';
    local $/ = undef;
    return readline($handle) // '';
}

# Of a user of the base.
sub ids_of ($name) { return $BASE->{ids}->{$name} =~ tr/:/ /r; }
sub uid_of ($name) { return (split(/:/, $BASE->{ids}->{$name}))[0]; }

sub script ($name, $text) { return entry('0', $name, mode => 0755, content => "#!/bin/sh\n$text"); }

# A request by HTTP in the container's network, as a client on its loopback device.
sub http ($container, $port) {
    my $code =
          'use IO::Socket::INET; my $s = IO::Socket::INET->new("127.0.0.1:'
        . $port
        . '") or exit 1;'
        . 'print {$s} "GET / HTTP/1.0\r\n\r\n"; print <$s>';
    my $pid = $container->init_pid() // return '';
    return qx(nsenter -t $pid -n $^X -e '$code' 2>/dev/null);
}

# As pct exec does it, with the image's environment, user and directory.
sub in_container ($container, @command) { return run($container, '/.pve.init', @command); }

sub run ($container, @command) { return ($container->attach(@command))[1]; }

# What the entry script of an image was started with; many a server changes its own later.
my $DUMP = "cat /proc/\$\$/environ > /tmp/environment\nreadlink /proc/\$\$/cwd > /tmp/directory\n";

my $POSTGRES_ENTRY = $DUMP . <<'EOS';
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then initdb -A trust >/dev/null; fi
exec "$@"
EOS

my $REDIS_ENTRY = <<'EOS';
chown redis .
exec setpriv --reuid=redis --regid=redis --init-groups "$@"
EOS

my $NODE_SERVER = <<'EOS';
const answer = 'hello from node ' + process.pid + '\n';
const server = require('http').createServer((q, r) => r.end(answer));
server.listen(3000, '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
EOS

my $STATIC_SERVER = <<'EOS';
trap 'kill $!; exit 0' TERM
/busybox httpd -f -p 127.0.0.1:8080 -h /www &
while :; do wait; done
EOS

my $S6_INIT = $DUMP . <<'EOS';
[ $$ = 1 ] || { echo "can only run as process 1" >&2; exit 100; }
exec s6-svscan /services
EOS

# Of each: base (0: none), the image's config and what it has beside the packages; its environment,
# user and directory as process 1 must have them; whether it is ready; what it answers; how data is
# written and read.
my @APPLICATIONS = (
    {
        name => 'nginx',
        config => {
            Entrypoint => ['/docker-entrypoint.sh'], Cmd => ['nginx', '-g', 'daemon off;'],
            Env => ["PATH=$PATH", 'NGINX_VERSION=1.22'], StopSignal => 'SIGQUIT',
            ExposedPorts => { '80/tcp' => {} },
        },
        files => script('docker-entrypoint.sh', qq{${DUMP}exec "\$@"\n})
            . entry('2', 'var/log/nginx/access.log', link => '/dev/stdout')
            . entry('2', 'var/log/nginx/error.log', link => '/dev/stderr'),
        environment => ["PATH=$PATH", 'NGINX_VERSION=1.22', 'HOME=/root', 'HOSTNAME=test'],
        ids => '0 0', directory => '/',
        ask => sub ($c) { http($c, 80) }, answer => qr{ 200 OK.*Welcome to nginx}s,
        console => qr{"GET / HTTP/1\.0" 200},
    },
    {
        name => 'postgres',
        config => {
            Entrypoint => ['docker-entrypoint.sh'],
            Cmd => ['postgres', '-c', 'listen_addresses=127.0.0.1'],
            Env => [
                "PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:$PATH", 'LANG=C.UTF-8',
                'PGDATA=/var/lib/postgresql/data',
            ],
            User => 'postgres', StopSignal => 'SIGINT',
            Volumes => { '/var/lib/postgresql/data' => {} },
        },
        files => script('usr/local/bin/docker-entrypoint.sh', $POSTGRES_ENTRY)
            . entry('5', 'var/run/postgresql/', mode => 01777)
            . entry('5', 'var/lib/postgresql/data/', mode => 0700, uid => uid_of('postgres')),
        environment => [
            "PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:$PATH", 'LANG=C.UTF-8',
            'PGDATA=/var/lib/postgresql/data', 'HOME=/var/lib/postgresql', 'HOSTNAME=test',
        ],
        ids => ids_of('postgres'), directory => '/',
        ask => sub ($c) { in_container($c, 'psql', '-Atc', 'SELECT 6 * 7') },
        answer => qr/^42$/m,
        write => sub ($c) {
            in_container($c, 'psql', '-c', "CREATE TABLE t AS SELECT 'kept' AS v");
        },
        read => sub ($c) { in_container($c, 'psql', '-Atc', 'SELECT v FROM t') },
    },
    {
        name => 'redis',
        config => {
            Entrypoint => ['entry'], Cmd => ['redis-server', '--save', '60', '1'],
            Env => ["PATH=$PATH"], WorkingDir => '/data', Volumes => { '/data' => {} },
        },
        files => script(
            'usr/local/bin/entry',
            $DUMP . $REDIS_ENTRY,
        ),
        environment => ["PATH=$PATH", 'HOME=/root', 'HOSTNAME=test'],
        ids => ids_of('redis'), directory => '/data',
        ask => sub ($c) { in_container($c, 'redis-cli', 'ping') }, answer => qr/^PONG$/m,
        write => sub ($c) { in_container($c, 'redis-cli', 'set', 'key', 'kept') },
        read => sub ($c) { in_container($c, 'redis-cli', 'get', 'key') },
    },
    {
        name => 'node',
        config => {
            Cmd => ['node', 'server.js'], User => '1000:1000', WorkingDir => '/srv/app',
            Env => ["PATH=$PATH", 'NODE_ENV=production'],
        },
        files => entry('0', 'srv/app/server.js', content => $NODE_SERVER),
        environment => ["PATH=$PATH", 'NODE_ENV=production', 'HOME=/', 'HOSTNAME=test'],
        ids => '1000 1000', directory => '/srv/app',
        ask => sub ($c) { http($c, 3000) }, answer => qr/^hello from node 1$/m,
    },
    {
        name => 'a static binary without anything else, numeric user',
        is_scratch => 1,
        config => {
            Cmd => ['/busybox', 'sh', '/serve'], User => '65532:65532', WorkingDir => '/work',
        },
        files => entry('0', 'busybox', mode => 0755, content => slurp('/bin/busybox'))
            . entry('0', 'serve', content => $STATIC_SERVER)
            . entry('5', 'www/')
            . entry('0', 'www/index.html', content => "static page\n"),
        environment => ["PATH=$PATH", 'HOME=/', 'HOSTNAME=test'],
        ids => '65532 65532', directory => '/work',
        ask => sub ($c) { http($c, 8080) }, answer => qr/^static page$/m,
    },
    {
        name => 'systemd',
        is_system => 1,
        config => { Cmd => ['/lib/systemd/systemd'], StopSignal => 'SIGRTMIN+3' },
        files => '',
        ids => '0 0', directory => '/',
        ask => sub ($c) { run($c, 'systemctl', 'is-active', 'multi-user.target') },
        answer => qr/^active$/m,
        write => sub ($c) { run($c, '/bin/sh', '-c', 'echo kept > /root/file') },
        read => sub ($c) { run($c, '/bin/cat', '/root/file') },
    },
    {
        name => 's6, which has to be process 1',
        config => { Entrypoint => ['/init'], Env => ["PATH=$PATH", 'S6=1'] },
        files => script('init', $S6_INIT)
            . entry('5', 'services/')
            . entry('5', 'services/web/')
            . script('services/web/run', "echo \$S6 > /started\nexec sleep 1000\n"),
        environment => ["PATH=$PATH", 'S6=1', 'HOME=/root', 'HOSTNAME=test'],
        ids => '0 0', directory => '/',
        ask => sub ($c) { in_container($c, 's6-svstat', '-o', 'up', '/services/web') },
        answer => qr/^true$/m,
        read => sub ($c) { in_container($c, 'cat', '/started') }, kept => qr/^1$/m,
    },
);

sub process_1 ($container, $rootdir) {
    my $pid = $container->init_pid();
    my %field = slurp("/proc/$pid/status") =~ /^(\w+):\s+([0-9]+)/mg;
    my $ids = join(' ', map { $field{$_} - 100000 } qw(Uid Gid));
    my $has_dump = -e "$rootdir/tmp/environment";
    my $directory = $has_dump ? slurp("$rootdir/tmp/directory") : readlink("/proc/$pid/cwd");
    my $environment = slurp($has_dump ? "$rootdir/tmp/environment" : "/proc/$pid/environ");
    return ($ids, $directory =~ s/\n\z//r, split(/\0/, $environment));
}

my $serial = 0;
my $HAS_BUSYBOX = qx(ldd /bin/busybox 2>&1) =~ /not a dynamic/;

sub create ($application) {
    my $archive = image(
        "$DIRECTORY/image.tar", $application->{is_scratch} ? undef : $BASE,
        $application->@{qw(config files)},
    );
    my $rootdir = "$DIRECTORY/" . ++$serial;
    mkdir($rootdir) or die $!;
    chown(100000, 100000, $rootdir) or die $!;
    my $conf = { unprivileged => 1 };
    no warnings qw(once); # loaded at run time
    local $PVE::LXC::Config::IS_NEW = $serial % 2;
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval { PVE::LXC::OCI::restore_archive({ ids => {} }, $archive, $rootdir, $conf, 0, undef); };
    my $error = $@;
    select($stdout);
    unlink($archive);
    is("$error", '', 'created') or return;
    return ($rootdir, $conf);
}

sub start ($application, $rootdir, $conf) {
    my @more = (['lxc.console.logfile', "$rootdir.console"]);
    push @more, ['lxc.mount.auto', 'cgroup:mixed'] if $application->{is_system};
    my $full = { $conf->%*, lxc => [($conf->{lxc} // [])->@*, @more] };
    my $is_ready = sub ($c) { $application->{ask}->($c) =~ $application->{answer} };
    my $container = LxcContainer->start($rootdir, $full, $is_ready);
    like($application->{ask}->($container), $application->{answer}, 'it answers')
        or diag(slurp("$rootdir.console"));
    return $container;
}

sub stop ($container) {
    my $start = time();
    is($container->stop(), 0, 'lxc-stop');
    cmp_ok(time() - $start, '<', $STOP_TIME, 'it ends by its signal');
    return;
}

sub check_process_1 ($application, $container, $rootdir) {
    my ($ids, $directory, @environment) = process_1($container, $rootdir);
    is($ids, $application->{ids}, 'its user and group');
    is($directory, $application->{directory}, 'its directory');
    return if !$application->{environment};
    my @expected = sort($application->{environment}->@*, @OF_LXC);
    is_deeply([sort grep { !/\Acontainer_ttys=/ } @environment], \@expected, 'its environment')
        or diag(explain(\@environment));
    return;
}

for my $application (@APPLICATIONS) {
    subtest $application->{name} => sub {
        plan(skip_all => 'needs busybox-static')
            if $application->{is_scratch} && !$HAS_BUSYBOX;
        my ($rootdir, $conf) = create($application) or return;
        my $container = start($application, $rootdir, $conf);
        check_process_1($application, $container, $rootdir);
        if (my $line = $application->{console}) {
            ok(
                wait_until(sub { slurp("$rootdir.console") =~ $line }),
                'its log is on the console'
            ) or diag(slurp("$rootdir.console"));
        }
        $application->{write}->($container) if $application->{write};
        stop($container);
        $container = start($application, $rootdir, $conf);
        like(
            $application->{read}->($container), $application->{kept} // qr/^kept$/m,
            'data is kept'
        ) if $application->{read};
        stop($container);
        undef $container;
        system('rm', '-rf', $rootdir);
    };
}

done_testing();
