#!/usr/bin/perl
# A task that creates a container is stopped in the middle, as PVE does it: SIGTERM to its process
# group, and SIGKILL; or it ends by itself, because the image's config says that no container can be
# started from it. What comes next is umount of the loop-mounted rootfs, which must succeed at once.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/lib/stand-ins", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

# In memory: how long a disk takes that other tests write to is not what is asked here.
BEGIN { $ENV{TMPDIR} //= '/dev/shm' if -w '/dev/shm' }

use TestImage qw(entry write_image);
use TestSupport qw(at_most home settings_file wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-d home() . '/native/init';

require PVE::LXC::OCI;
require PVE::OCI::JVM;
require RealDaemon;

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die $!;
my $MOUNT = "$DIRECTORY/rootfs";
my $DISK = "$DIRECTORY/disk";
mkdir($MOUNT) or die $!;

END {
    local $?;
    system("umount -l $MOUNT 2>/dev/null") if defined($MOUNT);
}

# Incompressible, so that the limit on the bandwidth makes it last for half a minute.
my $BANDWIDTH = 1024; # KiB/s
open(my $random, '<:raw', '/dev/urandom') or die $!;
my $LAYER = join(
    '',
    map { read($random, my $bytes, 64 << 10); entry('0', "file$_", content => $bytes) }
        1 .. 512
);
my $ARCHIVE = write_image("$DIRECTORY/image.tar", { Cmd => ['sh'] }, $LAYER);
my $TOO_LARGE = write_image(
    "$DIRECTORY/too-large.tar",
    { Cmd => ['sh'], Env => ['LARGE=' . 'x' x (128 << 10)] }, $LAYER,
);

sub mount_disk() {
    unlink($DISK);
    open(my $file, '>', $DISK) or die $!;
    truncate($file, 128 << 20) or die $!;
    close($file);
    return system("mkfs.ext4 -q -F -E root_owner=100000:100000 $DISK") == 0
        && system("mount -o loop $DISK $MOUNT 2>/dev/null") == 0;
}

sub entries() {
    return map { s{.*/}{}r } grep { !/lost\+found/ } glob("$MOUNT/*");
}

# Of this process: a task that is killed would leave its own behind.
my $SETTINGS = settings_file('daemon-only = no');

# The task, with the handlers that PVE's workers have, in a process group of its own. $prepare runs
# in it before.
sub start_task ($socket, $archive = $ARCHIVE, $rootdir = $MOUNT, $prepare = sub { }) {
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    POSIX::setsid();
    $prepare->();
    local $ENV{PVE_OCI_SOCKET} = $socket;
    local $PVE::OCI::Settings::FILE = $SETTINGS;
    local @SIG{qw(INT QUIT TERM)} = (sub { die "received interrupt\n" }) x 3;
    open(STDOUT, '>', '/dev/null') or POSIX::_exit(99);
    eval {
        PVE::LXC::OCI::restore_archive(
            { ids => {} }, $archive, $rootdir, { unprivileged => 1 },
            0, $BANDWIDTH
        );
    };
    POSIX::_exit($@ eq "received interrupt\n" ? 7 : $@ ? 8 : 0);
}

plan(skip_all => 'no loop device or no ext4') if !mount_disk();
system('umount', '-d', $MOUNT) == 0 or die "umount failed\n";

my $daemon = RealDaemon->start();
my $has_engine = eval { PVE::OCI::JVM::settings(); 1 };

for my $case (map { ["$_, daemon", $_, $daemon->{socket}], ["$_, embedded", $_, "$DIRECTORY/none"] }
    qw(TERM KILL)) {
    my ($name, $signal, $socket) = $case->@*;
    subtest $name => sub {
        plan(skip_all => 'no embedded engine') if $socket =~ /none/ && !$has_engine;
        mount_disk() or die "mount failed\n";
        my $pid = start_task($socket);
        ok(wait_until(sub { entries() > 3 }), 'in the middle');
        my $start = time();
        kill $signal => -$pid;
        waitpid($pid, 0);
        my $status = $?;
        is($status, $signal eq 'TERM' ? 7 << 8 : 9, 'the task ended by it');
        cmp_ok(time() - $start, '<', at_most(5), 'before PVE sends SIGKILL');
        is_deeply([entries()], [], 'the rootfs is empty again') if $signal eq 'TERM';
        $start = time();
        is(system('umount', '-d', $MOUNT), 0, 'umount at once');
        note(sprintf('umount took %.2f s', time() - $start));
        ok(wait_until(sub { qx(losetup -j $DISK) eq '' }), 'the device becomes free');
        note(sprintf('free after %.2f s', time() - $start));
    };
}

# Where what the handler dies with could be lost, because an eval asks whether something works, or
# changed, because a module is being loaded: what runs there is wrapped.
sub stopped_in ($module, $function, $is_meant = sub (@) { 1 }) {
    return sub {
        require($module =~ s{::}{/}gr . '.pm');
        no strict 'refs'; ## no critic (ProhibitNoStrict)
        no warnings 'redefine';
        my $original = \&{"${module}::$function"};
        *{"${module}::$function"} = sub (@arguments) {
            kill(TERM => $$) if $is_meant->(@arguments);
            return $original->(@arguments);
        };
    };
}

my $SMALL = write_image(
    "$DIRECTORY/small.tar", { Cmd => ['sh'], WorkingDir => '/work' },
    entry('0', 'file', content => 'x'),
);
my @STOPS = (
    [
        'a module',
        sub {
            unshift @INC, sub ($self, $file) {
                return if $file ne 'PVE/LXC/OCI/ImageConfig.pm';
                return \'BEGIN { kill(TERM => $$) } 1';
            };
        },
    ],
    ['a check', stopped_in('PVE::OCI::Env', 'check_size')],
    [
        'a message',
        stopped_in('JSON::XS', 'decode', sub ($json, $text) { $text =~ /"continues"/ })
    ],
    ['a question to PVE', stopped_in('PVE::LXC::Config', 'is_valid_lxc_conf_key')],
    ['the record', stopped_in('PVE::OCI::RootUpdate', 'apply_update')],
);
for my $stop (@STOPS) {
    my ($where, $prepare) = $stop->@*;
    my $rootdir = "$DIRECTORY/plain-" . $where =~ tr/ /-/r;
    mkdir($rootdir) or die $!;
    chown(100_000, 100_000, $rootdir) or die $!;
    my $pid = start_task($daemon->{socket}, $SMALL, $rootdir, $prepare);
    waitpid($pid, 0);
    is($?, 7 << 8, "stopped in $where: the task ended by it");
}

# 32 MiB at 1 MiB a second would take half a minute.
for my $case (['daemon', $daemon->{socket}], ['embedded', "$DIRECTORY/none"]) {
    my ($name, $socket) = $case->@*;
    subtest "no container can be started from it, $name" => sub {
        plan(skip_all => 'no embedded engine') if $socket =~ /none/ && !$has_engine;
        mount_disk() or die "mount failed\n";
        local $ENV{PVE_OCI_SOCKET} = $socket;
        local $PVE::OCI::Settings::FILE = $SETTINGS;
        local $SIG{__WARN__} = sub ($line) { note($line) };
        my $start = time();
        eval {
            PVE::LXC::OCI::restore_archive(
                { ids => {} }, $TOO_LARGE, $MOUNT, { unprivileged => 1 },
                0, $BANDWIDTH
            );
        };
        like($@, qr/LARGE/, 'the error names the variable');
        cmp_ok(time() - $start, '<', at_most(10), 'long before all was extracted');
        is_deeply([entries()], [], 'the rootfs is empty');
        is(system('umount', '-d', $MOUNT), 0, 'umount at once');
    };
}

done_testing();
