#!/usr/bin/perl
# Updates of a root file system that holds subvolumes of btrfs: rename(2) moves one as a whole, but
# nothing out of it, and neither one that is read-only nor what a snapshot puts in its place.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use TestUpdate qw(fingerprint is_same_tree pve_oci shell slurp);
use UpdateEdges qw(@HERE @IMAGE changes is_refused is_rolled_back is_updated prepare update);

my $FOLDER = prepare();
my $FILE = "$FOLDER/btrfs.img";
my $MOUNT = "$FOLDER/mount";
mkdir($MOUNT) or die "mkdir: $!\n";
plan(skip_all => 'no btrfs on a loop device')
    if system("truncate -s 256M $FILE; mkfs.btrfs -q $FILE >/dev/null 2>&1"
        . " && mount -o loop $FILE $MOUNT 2>/dev/null") != 0;

END {
    local $?;
    system('umount', $MOUNT) if $MOUNT;
}

sub btrfs (@arguments) {
    system('sh', '-c', 'exec btrfs "$@" >/dev/null', 'sh', @arguments) == 0
        or die "btrfs @arguments\n";
    return;
}

# As on Proxmox VE, the root file system is a subvolume itself.
my $BASE = "$MOUNT/base";
btrfs('subvolume', 'create', $BASE);
chown(100000, 100000, $BASE) or die "chown: $!\n";
is((pve_oci('extract', '-q', '--record', $IMAGE[1], $BASE, @HERE))[0], 0, 'extracted');

my $count = 0;

# A copy with subvolumes in which there is a file each.
sub rootfs (@subvolumes) {
    my $rootdir = "$MOUNT/ct" . ++$count;
    btrfs('subvolume', 'snapshot', $BASE, $rootdir);
    for my $path (@subvolumes) {
        my ($above) = "$rootdir/$path" =~ m{(.*)/};
        shell($MOUNT, "mkdir -p $above");
        btrfs('subvolume', 'create', "$rootdir/$path");
        my ($top) = split(m{/}, $path);
        shell($rootdir, "echo precious >$path/file; chown -R 100000:100000 $top");
    }
    return $rootdir;
}

# In a snapshot, an empty directory stands where a subvolume was.
sub snapshot_of ($rootdir) {
    my $copy = "$MOUNT/ct" . ++$count;
    btrfs('subvolume', 'snapshot', $rootdir, $copy);
    return $copy;
}

sub subvolumes ($rootdir) {
    my ($name) = $rootdir =~ m{([^/]+)\z};
    return join(
        ' ',
        sort map { m{ path \Q$name\E/(.*)$} ? $1 : () }
            split(/\n/, shell($MOUNT, 'btrfs subvolume list .'))
    );
}

subtest 'subvolumes are moved, kept and removed whole' => sub {
    my $rootdir = rootfs(qw(own data/kept tmp/some var/lib/machines/one));
    my ($before, $list) = (fingerprint($rootdir), subvolumes($rootdir));
    is_refused($rootdir, qr{^A /own/\n}m);
    is(subvolumes($rootdir), $list, 'all of them are where they were');
    is_updated($rootdir, '--keep', '/var/lib/machines', '--discard-changes');
    my $old = '.pve.oci.previous/old';
    is(
        subvolumes($rootdir),
        "$old/own $old/tmp/some data/kept var/lib/machines/one", 'moved as subvolumes'
    );
    is(slurp("$rootdir/$old/own/file"), "precious\n", 'with what is in them');
    is(changes($rootdir), '', 'no difference');
    is_rolled_back($rootdir, $before);
    is(subvolumes($rootdir), $list, 'all of them are back');
    is_updated($rootdir, '--keep', '/own', '--discard-changes');
    my ($code, undef, $errors) =
        pve_oci('update', '--discard-changes', $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'another update') or diag($errors);
    is(subvolumes($rootdir), 'data/kept own', 'has removed what was not kept');
    is(slurp("$rootdir/own/file"), "precious\n", 'kept');
};

subtest 'something in a subvolume is to be kept' => sub {
    my $rootdir = rootfs('srv/sub');
    shell($rootdir, 'mkdir srv/sub/a; echo 1 >srv/sub/a/b');
    for my $path (qw(/srv/sub/file /srv/sub/a/b)) {
        is_refused(
            $rootdir,
            qr{'/srv/sub' is a subvolume above something that is kept: .*keep '/srv/sub'},
            '--keep', $path, '--discard-changes'
        );
        ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
    }
    is_updated($rootdir, '--keep', '/srv/sub');
    is(slurp("$rootdir/srv/sub/a/b"), "1\n", 'all of it is kept');
};

subtest 'what a snapshot puts in place of a subvolume' => sub {
    my $rootdir = snapshot_of(rootfs(qw(own lib1/sub var/deep)));
    my $what = 'stands for a subvolume that a snapshot has left out';
    my @keep = qw(--keep /lib1/a --discard-changes);
    # they have no times of their own
    my $tree = sub () { fingerprint($rootdir, qw(own lib1/sub var/deep)) };
    my $before = $tree->();
    my $is_named = sub ($path) {
        my ($code, undef, $errors) = update($rootdir, @keep);
        is($code, 1, 'refused');
        like($errors, qr{'/$path' cannot be moved: it $what: remove it}, 'message');
        ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
    };
    $is_named->('own');
    is_same_tree($tree->(), $before, 'nothing has changed');
    shell($rootdir, 'rmdir own');
    $is_named->('lib1/sub');
    is_updated($rootdir, '--keep', '/lib1/sub', @keep);
    is(slurp("$rootdir/lib1/a"), 'lib1/a 1', 'kept');
    my ($code, undef, $errors) =
        pve_oci('update', '--discard-changes', $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'deeper ones are moved and removed') or diag($errors);
};

subtest 'a snapshot with an earlier tree' => sub {
    my $original = rootfs('own');
    is_updated($original, '--discard-changes');
    my $rootdir = snapshot_of($original);
    my $tree = sub () { fingerprint($rootdir, '.pve.oci.json') =~ s/^\. d .*\n//mr };
    my $before = $tree->();
    my ($code, $out, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 1, 'cannot be rolled back as it is');
    like(
        $errors, qr{'/own' in the earlier tree cannot be moved: it stands for a subvolume},
        'and why'
    );
    is_same_tree($tree->(), $before, 'nothing has changed');
    shell($rootdir, 'rmdir .pve.oci.previous/old/own');
    ($code, $out, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 0, 'then it can') or diag($errors);
    is(slurp("$rootdir/bin/app"), "application 1\n", 'the old program is there');
    ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
};

subtest 'subvolumes that are read-only' => sub {
    my $rootdir = rootfs(qw(own var/deep));
    btrfs('property', 'set', '-ts', "$rootdir/$_", 'ro', 'true') for qw(own var/deep);
    is_refused(
        $rootdir, qr{'/own' cannot be moved: it is a read-only subvolume},
        '--discard-changes'
    );
    ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
    my @keep = qw(--keep /own --discard-changes);
    is_updated($rootdir, @keep);
    my ($code, $out, $errors) = pve_oci('update', @keep, $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'one in an earlier tree hinders no update') or diag($errors);
    like($out, qr{warning: /\.pve\.oci\.removed holds .*read-only subvolume}, 'it is told of');
    is(slurp("$rootdir/.pve.oci.removed/0/old/var/deep/file"), "precious\n", 'set aside');
    is((pve_oci('update', '--forget', $rootdir, @HERE))[0], 0, 'the rest can be removed');
    is(slurp("$rootdir/own/file"), "precious\n", 'what was kept is there');
};

done_testing();
