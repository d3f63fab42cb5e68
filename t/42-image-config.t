#!/usr/bin/perl
# What becomes of an image's config: which commands are a system's init, what is refused and how,
# what the task log says.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use PVE::LXC::OCI::ImageConfig;
use PVE::LXC::OCI::Summary;

plan(skip_all => 'needs root, to enter a rootfs') if $> != 0;

no warnings qw(once); ## no critic (ProhibitNoWarnings): a variable of a stand-in
$PVE::LXC::Config::IS_NEW = 1;

# A rootfs of files and links, { path => content or \target }.
sub rootfs ($files) {
    my $rootdir = tempdir(CLEANUP => 1);
    for my $path (keys $files->%*) {
        make_path("$rootdir/$path" =~ s{/[^/]*\z}{}r);
        if (ref($files->{$path})) {
            symlink($files->{$path}->$*, "$rootdir/$path") or die $!;
        } else {
            open(my $handle, '>', "$rootdir/$path") or die $!;
            print {$handle} $files->{$path};
        }
    }
    return $rootdir;
}

# Applies a config; returns the configuration, the settings and the warnings.
sub apply ($config, $conf = {}, $files = {}) {
    my @warnings;
    my $rootdir = rootfs($files);
    my $settings = PVE::LXC::OCI::ImageConfig::settings(
        $conf, $config, $rootdir,
        sub ($line) { push @warnings, $line }
    );
    PVE::LXC::OCI::ImageConfig::apply($conf, $settings) if $settings;
    return ($conf, $settings, \@warnings);
}

sub halt ($conf) {
    return
        join(',', map { $_->[1] } grep { $_->[0] eq 'lxc.signal.halt' } ($conf->{lxc} // [])->@*);
}

my $SYSTEMD = '/lib/systemd/systemd';
my $MERGED = {
    'usr/lib/systemd/systemd' => 'x', 'lib' => \'usr/lib', 'sbin' => \'usr/sbin',
    'usr/sbin/init' => \'../lib/systemd/systemd'
};
my $APART = { 'lib/systemd/systemd' => 'x' };

# name, command, rootfs, entrypoint that is set (undef: none, the default /sbin/init starts it)
for my $case (
    ['/sbin/init', ['/sbin/init'], $MERGED, undef],
    ['/usr/sbin/init', ['/usr/sbin/init'], $MERGED, undef],
    ['/lib/systemd/systemd', [$SYSTEMD], $MERGED, undef],
    ['/usr/lib/systemd/systemd', ["/usr$SYSTEMD"], $MERGED, undef],
    ['systemd without /sbin/init', [$SYSTEMD], $APART, $SYSTEMD],
    [
        '/usr/sbin/init that is something else', ['/usr/sbin/init'],
        { 'usr/sbin/init' => 'x' }, '/usr/sbin/init'
    ],
    ['a link to it', ['/start'], { $APART->%*, start => \'lib/systemd/systemd' }, '/start'],
    [
        'an absolute link', ['/start'], { $APART->%*, start => \'/lib/systemd/systemd' },
        '/start'
    ],
    ['found in PATH', ['init'], $MERGED, undef],
) {
    my ($name, $command, $files, $entrypoint) = $case->@*;
    my ($conf, $settings) = apply({ Cmd => $command, Env => ['A=b'] }, {}, $files);
    is($conf->{entrypoint}, $entrypoint, "$name: entrypoint");
    is(halt($conf), '', "$name: the stop signal is left to LXC");
    ok(!exists($conf->{cmode}), "$name: the console of a system");
    ok(!$settings || !$settings->{init}, "$name: no /.pve.init");
}
my ($conf, $settings, $warnings) =
    apply({ Cmd => [$SYSTEMD], StopSignal => 'RTMIN+3' }, {}, $MERGED);
is(halt($conf), 'SIGRTMIN+3', 'a stop signal that the image names');
($conf, $settings) =
    apply({ Cmd => [$SYSTEMD, '--show-status=false'], Env => ['A=b'] }, {}, $APART);
is($conf->{entrypoint}, '/.pve.init', 'systemd with arguments: by /.pve.init');
is(halt($conf) . ($conf->{cmode} // ''), '', '... but signal and console as of a system');
for my $case (
    ['an application', ['/usr/bin/app'], { 'usr/bin/app' => 'x' }],
    ['s6', ['/init'], { init => 'x' }],
    ['a link out of the rootfs', ['/start'], { start => \'../../../../lib/systemd/systemd' }],
    ['a dangling link', ['/start'], { start => \'/usr/lib/systemd/systemd' }],
    ['a loop', ['/start'], { start => \'start' }],
    ['another systemd', ['/app/systemd'], { 'app/systemd' => 'x' }],
) {
    my ($name, $command, $files) = $case->@*;
    ($conf) = apply({ Cmd => $command }, {}, $files);
    is("$conf->{entrypoint} " . halt($conf), '/.pve.init SIGTERM', "$name: no system");
}

for my $config ({ Cmd => ['/sbin/init'] }, { Cmd => ['/usr/sbin/init'] }, {}) {
    (undef, undef, $warnings) = apply($config);
    like(
        $warnings->[-1], qr{\Aimage has no (?:/usr)?/sbin/init, .* set its entrypoint},
        'an init that is not there'
    );
}

subtest 'the command' => sub {
    for my $case (
        [{ Entrypoint => [''], Cmd => ['/bin/prog', '-v'] }, '/bin/prog -v'],
        [{ Entrypoint => ['/e'], Cmd => [''] }, '/e '],
        [{ Entrypoint => ['', 'x'] }, qr/the command is an empty string/],
        [
            { Entrypoint => [''] },
            qr/there is no command: Entrypoint is an empty string, Cmd is missing/
        ],
        [{ Cmd => [''] }, qr/the command is an empty string/],
        [{ Entrypoint => [''], Cmd => undef }, qr/there is no command/],
    ) {
        my ($config, $expected) = $case->@*;
        (undef, my $found) = eval { apply($config) };
        ref($expected)
            ? like($@, $expected, "refused: $@")
            : is(join(' ', $found->{init}->{command}->@*), $expected, $expected);
        (undef, $found) = apply($config, { entrypoint => '/mine x' });
        is($found->{entrypoint}, '/.pve.init /mine x', '... an own command starts anyway');
    }
    my ($again) = apply({ Cmd => ['/x'] }, { entrypoint => '/.pve.init /mine' });
    is($again->{entrypoint}, '/.pve.init /mine', 'an own command by /.pve.init stays');
    ($again) = apply({ Cmd => ['/x'] }, { entrypoint => $SYSTEMD }, $APART);
    is($again->{entrypoint}, $SYSTEMD, 'a system\'s init of the user\'s stays');
};

subtest 'what cannot be started is refused, by name, without a rootfs' => sub {
    my $long = 'x' x 131_072;
    for my $case (
        [{ Cmd => ['x'], Env => ['A=1', "LONG=$long"] }, qr/variable 'LONG' has 131077 bytes/],
        [
            { Cmd => ['x'], Env => [substr("LONG=$long", 0, 131_072)] },
            qr/variable 'LONG' has 131072 bytes/
        ],
        [{ Cmd => ['x'], Env => [substr("LONG=$long", 0, 131_071)] }, undef],
        [{ Cmd => ['x', $long] }, qr/argument 1 of the command has 131072 bytes/],
        [
            {
                Cmd => ['x'],
                Env => ['BIG=' . 'x' x 120_000, map { "V$_=" . 'x' x 100_000 } 1 .. 20]
            },
            qr/21 variables and 1 arguments need \d+ bytes.*largest is variable 'BIG'/,
        ],
        [
            { Cmd => ['x'], Env => [map { "V$_=" } 1 .. 150_000] },
            qr/150000 variables and 1 arguments need/
        ],
        [{ Cmd => ['x'], Env => [map { "V$_=" } 1 .. 60_000] }, undef],
        [
            { Cmd => ['x'], Env => ['A=' . "\x{20ac}" x 50_000] },
            qr/variable 'A' has 150002 bytes/
        ],
    ) {
        my ($config, $expected) = $case->@*;
        my $is_right = eval { PVE::LXC::OCI::ImageConfig::check({}, $config); 1 };
        $expected ? like($@, $expected, "$expected") : ok($is_right, 'but not smaller ones')
            || diag($@);
    }
};

subtest 'the task log says what will start' => sub {
    my $config = {
        Entrypoint => ['/entry.sh'], Cmd => ['a b', "it's", "x\e[31m"], User => 'app',
        WorkingDir => '/work', StopSignal => 'QUIT',
        Volumes => { '/data' => {}, '/var/lib/x' => {} }, ExposedPorts => { '80/tcp' => {} },
        Healthcheck => { Test => ['CMD-SHELL', 'curl -f localhost'] },
    };
    my ($made, $found) = apply(
        $config, { mp0 => 'local:1/x,mp=/data,size=1G' },
        { 'etc/passwd' => "app:x:7:8::/:\n", 'etc/group' => "g:x:9:app\n" },
    );
    is_deeply(
        [PVE::LXC::OCI::Summary::lines($made, $config, $found)],
        [
            q{command: /entry.sh 'a b' 'it'\''s' 'x\x1b[31m'},
            q{user: 7:8, groups 9 (the image says 'app')},
            'directory: /work',
            'stop signal: SIGQUIT',
            'volume: /data (its data is on mount point mp0)',
            'volume: /var/lib/x (its data is on the root disk)',
            q{port: 80/tcp (reachable at the container's address)},
            q{healthcheck: 'curl -f localhost' (is not run)},
        ],
        'an application'
    );
    my $system =
        { Cmd => ['/sbin/init'], Env => ['A=b'], User => '', Volumes => { '/x' => {} } };
    ($made, $found) = apply($system);
    is_deeply(
        [PVE::LXC::OCI::Summary::lines($made, $system, $found)],
        [
            'command: /sbin/init (a system container)',
            'left out, because a system sets these by itself: Env Volumes',
        ],
        'what a system does not get'
    );
    ($made, $found) = apply({ Cmd => [$SYSTEMD] }, {}, $APART);
    is_deeply(
        [PVE::LXC::OCI::Summary::lines($made, {}, $found)],
        ["command: $SYSTEMD (a system container)"],
        'a system'
    );
    my $odd =
        { ExposedPorts => ['x'], Healthcheck => { Test => { a => 1 } }, Cmd => ['x' x 1000] };
    ($made, $found) = apply($odd);
    my @lines = PVE::LXC::OCI::Summary::lines($made, $odd, $found);
    is(scalar(@lines), 4, 'parts of another type are left out');
    cmp_ok(length($lines[0]), '<', 600, 'lines have a length');
};

done_testing();
