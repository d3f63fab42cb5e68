#!/usr/bin/perl -T
# PVE::LXC::OCI with stand-ins for PVE's modules and a daemon that plays scripts: what goes to the
# original function, what becomes of an image's config, what is put into rootfs.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/lib/stand-ins", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use FakeDaemon;
use TestSupport qw(settings_file);
use PVE::LXC::OCI;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

my $DIRECTORY = tempdir(CLEANUP => 1);
my $STORAGE = {
    ids => {
        local => { type => 'dir', path => $DIRECTORY }, backup => { type => 'pbs' },
        external => { type => 'x', features => { 'backup-provider' => 1 } },
    },
};
my $DIGEST = 'sha256:' . 'a' x 64;

# Here the executable is not run.
for my $arch (qw(amd64 arm64)) {
    mkdir($_) for "$DIRECTORY/init", "$DIRECTORY/init/$arch";
    open(my $handle, '>', "$DIRECTORY/init/$arch/pve.init") or die $!;
    print {$handle} "executable of $arch";
    close($handle) or die $!;
}
@PVE::LXC::OCI::Init::DIRECTORIES = ("$DIRECTORY/init");

sub write_tar ($name) {
    my $header = pack(
        'a100 a8 a8 a8 a12 a12 a8 a1 a100', 'oci-layout', '644', '0', '0', '0', '0', ' ' x 8,
        '0', ''
    );
    $header .= "\0" x (512 - length($header));
    substr($header, 148, 8) = sprintf("%06o\0 ", unpack('%32C*', $header));
    write_file($name, $header . "\0" x 1024);
}

sub write_file ($name, $content) {
    open(my $handle, '>:raw', "$DIRECTORY/$name") or die $!;
    print {$handle} $content;
    close($handle) or die $!;
}

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or die "$path: $!";
    local $/ = undef;
    return scalar(<$handle>) // '';
}

my $rootfs_count = 0;

sub new_rootfs() {
    my $path = "$DIRECTORY/rootfs" . $rootfs_count++;
    mkdir($path) or die $!;
    return $path;
}

sub extracted ($config, @warnings) {
    my $result = {
        manifestDigest => $DIGEST, configDigest => 'sha256:' . 'b' x 64, entriesWritten => 1,
        platform => { architecture => 'amd64', os => 'linux' },
        bytesWritten => 1, warnings => \@warnings, warningsCount => scalar(@warnings),
        platform => { os => 'linux', architecture => 'amd64' }, referenceName => 'latest',
    };
    return [['reply', { parameters => { result => $result, config => $config } }]];
}

# Runs restore_archive on an image with this config; returns configuration, rootfs, error, daemon.
sub restore ($config, $conf = { unprivileged => 1 }, $rootdir = new_rootfs(), @warnings) {
    my $daemon = FakeDaemon->start(extracted($config, @warnings));
    local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
    @PVE::RESTEnvironment::warnings = ();
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval {
        PVE::LXC::OCI::restore_archive(
            $STORAGE, 'local:vztmpl/image.tar', $rootdir, $conf, 0,
            100
        );
    };
    my $error = $@;
    select($stdout);
    return ($conf, $rootdir, $error, $daemon, $text);
}

sub lxc_value ($conf, $key) {
    my @values = map { $_->[1] } grep { $_->[0] eq $key } ($conf->{lxc} // [])->@*;
    is(scalar(@values), @values ? 1 : 0, "$key is there once at most");
    return $values[0];
}

write_tar('image.tar');
write_file('template.tar.gz', "\x1f\x8b" . 'x' x 1000);
write_tar('vzdump-lxc-100-2026_01_01-00_00_00.tar');

subtest 'everything else goes to the original function, untouched' => sub {
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    my @volumes = (
        '-', 'backup:backup/ct/100/2026-01-01T00:00:00Z', 'external:backup/x.tar',
        'local:backup/vzdump-lxc-100-2026_01_01-00_00_00.tar', 'local:vztmpl/template.tar.gz',
        "$DIRECTORY/vzdump-lxc-100-2026_01_01-00_00_00.tar", "$DIRECTORY/template.tar.gz",
    );
    for my $volume (@volumes) {
        @PVE::LXC::Create::calls = @PVE::Storage::paths_asked = ();
        my $conf = { unprivileged => 1 };
        my @arguments = ($STORAGE, $volume, '/rootdir', $conf, 1, 1000);
        is(PVE::LXC::OCI::restore_archive(@arguments), 'from the original', $volume);
        is_deeply(\@PVE::LXC::Create::calls, [\@arguments], '... with the same arguments');
        is_deeply($conf, { unprivileged => 1 }, '... nothing was set');
        is_deeply(\@PVE::Storage::paths_asked, [], '... no path was looked up')
            if $volume !~ /template/;
    }
};

# An error of the daemon's, after which it must not be called again.
sub failing ($name, %parameters) {
    return [['reply', { error => "io.pve.oci.$name", parameters => \%parameters }]];
}

sub restore_scripted ($rootdir, $conf, @scripts) {
    my $daemon = FakeDaemon->start(@scripts);
    local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
    @PVE::LXC::Create::calls = ();
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    my @arguments = ($STORAGE, 'local:vztmpl/image.tar', $rootdir, $conf, 0, undef);
    my $returned = eval { PVE::LXC::OCI::restore_archive(@arguments) };
    my $error = $@;
    select($stdout);
    my @methods = map { $_->{call}->{method} =~ s/.*\.//r }
        grep { exists($_->{call}) } $daemon->log_entries();
    return ($returned, $error, $text // '', "@methods");
}

subtest 'a tar that is no image: one job finds out, the original function gets it' => sub {
    my ($rootdir, $conf) = (new_rootfs(), { unprivileged => 1 });
    my ($returned, $error, $log, $methods) = restore_scripted(
        $rootdir, $conf,
        failing('NotAnOciArchive', format => 'tar', message => 'not an OCI archive: tar'),
    );
    is($returned, 'from the original', 'the original was called');
    is_deeply(
        \@PVE::LXC::Create::calls,
        [[$STORAGE, 'local:vztmpl/image.tar', $rootdir, $conf, 0, undef]],
        'with the same arguments',
    );
    is_deeply($conf, { unprivileged => 1 }, 'nothing was set');
    is($log, '', 'nothing was said');
    is($methods, 'ParseAndExtractImage', 'one job');
};

subtest 'what cannot be started is refused before it is extracted' => sub {
    my $cases = {
        'a variable that execve(2) does not take' =>
            [{ Cmd => ['/bin/sh'], Env => ['LONG=' . 'x' x 131_072] }, qr/LONG/],
        'no command' => [{ Entrypoint => [''] }, qr/there is no command/],
        'a line break in a value' => [{ Cmd => ['a'], WorkingDir => "/a\nb" }, qr/WorkingDir/],
    };
    for my $name (sort keys $cases->%*) {
        my ($config, $message) = $cases->{$name}->@*;
        my $daemon = FakeDaemon->start([
            ['reply', { continues => JSON::true, parameters => { jobId => '1' } }],
            ['reply', { continues => JSON::true, parameters => { config => $config } }],
            ['wait_eof'],
        ]);
        local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
        my $conf = { unprivileged => 1 };
        eval {
            PVE::LXC::OCI::restore_archive(
                $STORAGE, 'local:vztmpl/image.tar', new_rootfs(),
                $conf
            );
        };
        like($@, $message, $name);
        ok($daemon->wait_for('eof'), '... and the job is ended');
        is_deeply($conf, { unprivileged => 1 }, '... nothing was set');
    }
};

subtest 'any other error is the end' => sub {
    for my $name (qw(MalformedArchive MalformedImage UnsupportedMediaType NoMatchingImage)) {
        my ($returned, $error, $log, $methods) =
            restore_scripted(new_rootfs(), {}, failing($name, message => "it is $name"));
        is($error, "it is $name\n", $name);
        is_deeply(\@PVE::LXC::Create::calls, [], '... not handed over');
        is($methods, 'ParseAndExtractImage', '... one job');
    }
};

subtest 'the embedded engine does not stand in for a daemon that is installed' => sub {
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    my $restore = sub {
        eval {
            PVE::LXC::OCI::restore_archive(
                $STORAGE, 'local:vztmpl/image.tar', '/nonexistent', { unprivileged => 1 }, 0,
                undef,
            );
        };
        return $@;
    };
    my $only = qr/; the embedded engine is not used instead, see daemon-only in pve-ocid\.conf/;
    local $PVE::OCI::Settings::FILE = settings_file();
    like($restore->(), $only, 'unless the settings say otherwise');
    $PVE::OCI::Settings::FILE = settings_file('daemon-only = yes');
    like($restore->(), $only, 'as they may say');
    $PVE::OCI::Settings::FILE = settings_file('daemon-only = no');
    @PVE::RESTEnvironment::warnings = ();
    unlike($restore->(), $only, 'it does when they do');
    like(
        $PVE::RESTEnvironment::warnings[0] // '',
        qr/\Acannot connect to pve-ocid .*; using the embedded engine instead\z/,
        'and the task log says so',
    ) if eval { require PVE::OCI::JVM; PVE::OCI::JVM::settings(); 1 };
};

subtest 'neither daemon nor engine is an error for a tar archive' => sub {
    local $ENV{PVE_OCI_SOCKET} = "$DIRECTORY/none";
    local $ENV{JAVA_HOME} = '/nonexistent';
    local $PVE::OCI::Settings::FILE = settings_file('daemon-only = no');
    require PVE::OCI::JVM;
    no warnings 'once'; ## no critic (ProhibitNoWarnings): only read in the module
    local @PVE::OCI::JVM::JVM_PATTERNS = ();
    eval {
        PVE::LXC::OCI::restore_archive(
            $STORAGE, 'local:vztmpl/image.tar', '/rootdir', {}, 0,
            undef
        );
    };
    like($@, qr/\Acannot connect to pve-ocid at [^\n]*\n\z/, 'told');
};

subtest 'an image becomes a container' => sub {
    my $warning = { entryPath => 'dev/null', what => 'deviceNode', detail => 'file made' };
    my ($conf, $rootdir, $error, $daemon, $log) = restore(
        {
            Entrypoint => ['/entry.sh'], Cmd => ['one', 'two words'],
            Env => ['PATH=/bin', "U=\x{e4}\x{20ac}"],
            WorkingDir => '/var/lib', StopSignal => 'USR1', Volumes => { '/data/x' => {} },
        },
        { unprivileged => 1 },
        new_rootfs(),
        $warning,
    );
    is($error, '', 'no error');
    is($conf->{cmode}, 'console', 'cmode');
    is($conf->{arch}, 'amd64', 'arch');
    is(lxc_value($conf, 'lxc.init.cmd'), '/.pve.init', 'init');
    is(lxc_value($conf, 'lxc.init.cwd'), '/var/lib', 'cwd');
    is(lxc_value($conf, 'lxc.signal.halt'), 'SIGUSR1', 'signal');
    is(
        slurp("$rootdir/.pve.env"),
        "pve.env 2 0 3 3 0 0\0/var/lib\0PATH=/bin\0U=\xc3\xa4\xe2\x82\xac\0HOME=/\0"
            . "/entry.sh\0one\0two words\0",
        '/.pve.env',
    );
    my @status = stat("$rootdir/.pve.env");
    is(
        sprintf('%o %d %d', $status[2] & 07777, @status[4, 5]), '600 100000 100000',
        'its owner and mode'
    );
    @status = stat("$rootdir/.pve.init");
    is(
        sprintf('%o %d %d', $status[2] & 07777, @status[4, 5]), '755 100000 100000',
        '/.pve.init'
    );
    is(slurp("$rootdir/.pve.init"), 'executable of amd64', 'of the architecture');
    @status = stat("$rootdir/data/x");
    is(
        sprintf('%o %d %d', $status[2] & 07777, @status[4, 5]), '755 100000 100000',
        'the volume'
    );
    my $origin = decode_json(slurp("$rootdir/.pve.oci.json"));
    is($origin->{manifestDigest}, $DIGEST, 'origin: manifest');
    is($origin->{referenceName}, 'latest', 'origin: reference name');
    is_deeply(
        $origin->{platform}, { os => 'linux', architecture => 'amd64' },
        'origin: platform'
    );
    is_deeply($origin->{config}->{Cmd}, ['one', 'two words'], 'origin: command');
    is_deeply(
        \@PVE::RESTEnvironment::warnings, ['entry dev/null: deviceNode: file made'],
        'warnings'
    );
    my ($call) = grep { $_->{method} =~ /Extract/ }
        map { $_->{call} // {} } grep { $_->{call}->{method} } $daemon->log_entries();
    is($call->{parameters}->{options}->{bandwidthLimit}, 102400, 'bandwidth limit');
    is($call->{parameters}->{selector}->{architecture}, 'amd64', 'architecture');
    is($call->{parameters}->{uidMap}->[0]->{outside}, 100000, 'map');
    like($log, qr/\Aextracting OCI image '[^']+'\n/, 'log');
};

subtest 'privileged and custom maps' => sub {
    my ($conf, $rootdir, $error) = restore({ Cmd => ['x'], User => '5:6' }, {});
    is($error, '', 'privileged');
    is(join(' ', (stat("$rootdir/.pve.env"))[4, 5]), '0 6', 'owner');
    my $maps = [['lxc.idmap', 'u 0 200000 1000'], ['lxc.idmap', 'g 0 300000 1000']];
    ($conf, $rootdir, $error) =
        restore({ Cmd => ['x'], User => '5:6' }, { unprivileged => 1, lxc => [$maps->@*] });
    is($error, '', 'custom');
    is(join(' ', (stat("$rootdir/.pve.env"))[4, 5]), '200000 300006', 'owner');
    is(
        sprintf('%o', (stat("$rootdir/.pve.env"))[2] & 07777), '640',
        'readable by the group of the user'
    );
    ($conf, $rootdir, $error) =
        restore({ Cmd => ['x'], User => '1000' }, { unprivileged => 1, lxc => [$maps->@*] });
    is(
        $error, "user id 1000 of the image's user is outside of the container's id map\n",
        'outside'
    );
};

# [name, argument or variable]; each must arrive as it is.
my @ODD = (
    ['spaces', '  a  b '], ['double quote', 'a"b'], ['single quote', "a'b"], ['both', q{"'"'}],
    ['dollar', '$HOME ${X} $(id)'],
    ['star', '*'], ['empty', ''], ['backslash', '\\n\\\\'], ['semicolon', 'a;b|c&d>e'],
    ['tab', "a\tb"], ['line break', "a\nb"], ['escape', "\e[2J\x7f"],
    ['UTF-8', "\x{e4}\x{20ac}\x{1f600}"], ['64 KiB', 'x' x 65536], ['equals', '=a=b='],
    ['dash', '--x'], ['hash', '#'],
);
subtest 'odd arguments and values arrive as they are' => sub {
    my @arguments = map { $_->[1] } @ODD;
    my @variables =
        ((map { "V$_=$ODD[$_]->[1]" } 0 .. $#ODD), 'a.b=1', 'X-Y=2', map { "N$_=$_" } 1 .. 1000);
    my ($conf, $rootdir, $error) =
        restore({ Entrypoint => ['c'], Cmd => \@arguments, Env => \@variables });
    is($error, '', 'no error');
    my $data = PVE::OCI::Env::decode(slurp("$rootdir/.pve.env"));
    utf8::decode($_) for $data->{command}->@*, $data->{variables}->@*;
    is($data->{command}->[$_ + 1], $ODD[$_]->[1], "argument: $ODD[$_]->[0]") for 0 .. $#ODD;
    is_deeply(
        $data->{variables},
        [
            @variables, 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
            'HOME=/'
        ],
        'all variables, and those that docker adds'
    );
};

for my $case (
    ['NUL in Env', { Cmd => ['x'], Env => ["A=1\0B=2"] }],
    ['a newline in WorkingDir', { Cmd => ['x'], WorkingDir => "/\nlxc.hook.pre-start = /x" }],
    ['a newline in User', { Cmd => ['x'], User => "0\n" }], ['NUL in Cmd', { Cmd => ["x\0y"] }],
    ['Env that is a hash', { Cmd => ['x'], Env => { A => 1 } }],
    ['Cmd that is a string', { Cmd => 'x' }],
    ['Volumes that are a list', { Cmd => ['x'], Volumes => ['/x'] }],
    ['User that is a list', { Cmd => ['x'], User => ['x'] }],
    ['a user that does not exist', { Cmd => ['x'], User => 'nobody-here' }],
    ['a negative User', { Cmd => ['x'], User => '-1' }],
    ['a User that is too large', { Cmd => ['x'], User => '2147483648' }],
    ['a group that is too large', { Cmd => ['x'], User => '1:3000000000' }],
    ['a long WorkingDir', { Cmd => ['x'], WorkingDir => '/' . 'x' x 5000 }],
) {
    my ($conf, $rootdir, $error) = restore($case->[1]);
    like($error, qr/\A[^\n]+\n\z/, "refused: $case->[0]");
    ok(
        !exists($conf->{cmode}) && !grep({ $_->[0] =~ /init/ } ($conf->{lxc} // [])->@*),
        '... nothing set'
    );
}

subtest 'an extraction without a hash is an error' => sub {
    for my $reply ({ result => {} }, { result => {}, config => [] }, {}) {
        my $daemon = FakeDaemon->start([['reply', { parameters => $reply }]]);
        local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
        my $conf = {};
        eval {
            PVE::LXC::OCI::restore_archive(
                $STORAGE, 'local:vztmpl/image.tar', new_rootfs(),
                $conf, 0, undef
            );
        };
        like($@, qr/\Aconnection to pve-ocid lost/, 'refused');
    }
};

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
