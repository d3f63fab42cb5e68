#!/usr/bin/perl -T
# PVE::LXC::OCI with stand-ins for PVE's modules and a daemon that plays scripts: which archives go
# to the original function, what makes a create fail, and what an image puts into configuration and
# rootfs.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/lib/stand-ins", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use JSON;
use Test::More;

use CreateFlow qw($DIGEST $DIRECTORY $STORAGE lxc_value new_rootfs restore slurp);
use FakeDaemon;
use PVE::LXC::OCI;
use TestSupport qw(settings_file);

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

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

subtest 'two processes enter the rootfs, however much the image says' => sub {
    my $entered = 0;
    my $run_in = \&PVE::OCI::Rootfs::run_in;
    no warnings qw(redefine);
    local *PVE::OCI::Rootfs::run_in = sub { $entered++; return $run_in->(@_) };
    my $rootdir = new_rootfs();
    mkdir("$rootdir/srv") or die $!;
    my ($conf) = restore(
        { Cmd => ['x'], User => '5:6', WorkingDir => '/srv', Env => ['A=1'] },
        { unprivileged => 1, ostype => 'centos' }, $rootdir,
    );
    is(lxc_value($conf, 'lxc.init.cwd'), '/srv', 'a container');
    ok(-s "$rootdir/$_", $_) for qw(.pve.init .pve.env .pve.oci.json);
    is($entered, 2, 'one looks, one writes');
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

subtest 'a daemon that ends, such as for a wrong line of its configuration' => sub {
    my $daemon = FakeDaemon->start([['raw', '']]);
    local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
    eval {
        PVE::LXC::OCI::restore_archive(
            $STORAGE, 'local:vztmpl/image.tar', new_rootfs(),
            {}, 0, undef
        );
    };
    like(
        $@, qr/\Aconnection to pve-ocid lost: .*; journalctl -u pve-ocid shows why$/,
        'the task log says where to look'
    );
};

done_testing();
