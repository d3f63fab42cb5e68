#!/usr/bin/perl -T
# pve-oci with a VMID, under taint mode as it runs: diff, update, rollback of a container, with
# stand-ins for the modules of Proxmox VE and the embedded engine.

use v5.36;

BEGIN {
    require Cwd;
    my ($directory) = Cwd::realpath(__FILE__) =~ m{\A(/.+)/[^/]+\z}s;
    unshift @INC, "$directory/lib", "$directory/lib/stand-ins", "$directory/../perl/lib";
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
}

use File::Temp qw(tempdir);
use Test::More;

use PVE::LXC;
use PVE::LXC::Config;
use PVE::OCI::CLI;
use PVE::OCI::JVM;
use TestUpdate qw(application slurp write_file);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @IMAGE = (undef, map { application("$FOLDER/v$_.tar", $_) } 1, 2);
mkdir("$FOLDER/rootfs") or die $!;
no warnings qw(once); ## no critic (ProhibitNoWarnings): variables of stand-ins
$PVE::LXC::Config::IS_NEW = 1;
$PVE::LXC::rootdirs{101} = "$FOLDER/rootfs";
$PVE::LXC::Config::configs{101} =
    { unprivileged => 1, arch => 'amd64', entrypoint => '/.pve.init', lxc => [] };

sub pve_oci (@arguments) {
    return PVE::OCI::CLI::main(@arguments, '--embedded', '-q');
}

is(pve_oci('extract', $IMAGE[1], "$FOLDER/rootfs", '--record'), 0, 'extracted');
is(pve_oci('diff', '101'), 0, 'no difference');
write_file("$FOLDER/rootfs/data/mine", 'mine');
is(pve_oci('update', '101', $IMAGE[2], '--chown', 'x:70:71'), 2, 'neither a user nor a group');
is(pve_oci('update', '101', $IMAGE[2], '--chown', '70:71', '--chown', '0:0'), 0, 'updated');
is(slurp("$FOLDER/rootfs/bin/app"), "application 2\n", 'the new program');
is((stat("$FOLDER/rootfs/data"))[4], 100071, 'the volume has another owner');
is((stat("$FOLDER/rootfs/data/initial"))[4], 100071, 'and so has what is in it');
is(join(':', (stat("$FOLDER/rootfs/data"))[5]), 100071, 'and another group');
is(pve_oci('rollback', '101', '--chown', 'g:71:70', '--chown', 'u:71:72'), 0, 'rolled back');
is(join(':', (stat("$FOLDER/rootfs/data"))[4, 5]), '100072:100070', 'each as it was said');
is(slurp("$FOLDER/rootfs/bin/app"), "application 1\n", 'the old program');
is(slurp("$FOLDER/rootfs/data/mine"), 'mine', 'the data');

subtest 'an option that would have no effect is refused' => sub {
    my $said;
    my sub refused ($what, @arguments) {
        open(my $kept, '>&', \*STDERR) or die "dup: $!\n";
        open(STDERR, '>', "$FOLDER/said") or die "open: $!\n";
        my $code = pve_oci(@arguments);
        open(STDERR, '>&', $kept) or die "dup: $!\n";
        is($code, 2, $what);
        like(slurp("$FOLDER/said"), qr/\Apve-oci: \w+: $said\n\z/, 'says why');
        return;
    }
    $said = qr/--uidmap, --gidmap and --privileged are for a directory: .*/;
    refused("@$_", @$_)
        for ['diff', 101, '--privileged'], ['rollback', 101, '--uidmap', '0:300000:65536'],
        ['update', 101, $IMAGE[2], '--uidmap', '0:300000:65536'];
    $said = qr/--snapshot needs a VMID: '.*' is a directory/;
    refused('--snapshot', 'update', "$FOLDER/rootfs", $IMAGE[2], '--snapshot', 'before');
    is(pve_oci('update', 101, $IMAGE[2]), 0, 'updated again');
    for my $option (['dry-run'], ['pull'], ['keep', '/data'], ['snapshot', 'before']) {
        my ($name, @value) = @$option;
        $said = qr/--forget excludes --$name/;
        refused("--forget with --$name", 'update', '--forget', 101, "--$name", @value);
    }
    ok(-d "$FOLDER/rootfs/.pve.oci.previous", 'and nothing was forgotten');
    is(pve_oci('rollback', 101), 0, 'so there is a way back');
};

subtest 'of many changes the first are listed' => sub {
    write_file("$FOLDER/rootfs/etc/added$_", 'x') for 1 .. 120;
    open(my $kept, '>&', \*STDERR) or die "dup: $!\n";
    open(STDERR, '>', "$FOLDER/said") or die "open: $!\n";
    my $code = pve_oci('update', '101', $IMAGE[2]);
    open(STDERR, '>&', $kept) or die "dup: $!\n";
    my $said = slurp("$FOLDER/said");
    cmp_ok($code, '>', 0, 'the update is refused');
    is(scalar(() = $said =~ /^[ACD] /mg), 100, 'a hundred');
    like($said, qr/^and [0-9]+ more, see 'pve-oci diff'$/m, 'and where the others are');
    unlink("$FOLDER/rootfs/etc/added$_") for 1 .. 120;
};

# its layer is none: who reads that first says something else
my $bad = application("$FOLDER/bad.tar", 2, { StopSignal => "TERM\nlxc.x = 1" }, 'no layer');
my $is_taken =
    eval { PVE::LXC::OCI::Update::update_container(101, $bad, { mode => 'embedded' }); 1 };
ok(!$is_taken, 'a config that no container can have');
like($@, qr/StopSignal holds a control character/, 'is refused before the layers are read');
is(pve_oci('update', '101/../102', $IMAGE[2]), 1, 'no VMID and no directory');
is(pve_oci('update', '1', $IMAGE[2]), 2, 'a number that is no VMID');

done_testing();
