#!/usr/bin/perl
# pve-oci update and rollback by the embedded engine on root file systems to which the host's root
# has done something: files that no ID of the container owns, file systems mounted below, a second
# call at the same time.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Fcntl qw(LOCK_EX O_DIRECTORY O_RDONLY);
use Test::More;

use TestUpdate qw(fingerprint is_same_tree pve_oci shell slurp write_file);
use UpdateEdges qw(@HERE @IMAGE changes is_refused is_rolled_back is_updated prepare rootfs update);

BEGIN { $ENV{TMPDIR} //= '/dev/shm' if -w '/dev/shm' }

prepare();

sub rollback ($rootdir, @options) { return pve_oci('rollback', $rootdir, @HERE, @options) }

# The container's root may move the upper folder, and cannot remove what is in the lower one.
my $OF_HOST = 'mkdir -p srv/host; echo host >srv/host/file; chown 100000 srv';

subtest 'an earlier tree that the container\'s root cannot remove' => sub {
    my $rootdir = rootfs($OF_HOST);
    is_updated($rootdir, '--discard-changes');
    my $second = fingerprint($rootdir);
    my ($code, $out, $errors) = pve_oci('update', $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'it hinders no update') or diag($errors);
    like(
        $out, qr{warning: /\.pve\.oci\.removed holds files.*remove it$}m,
        'where it is, is said'
    );
    is(slurp("$rootdir/bin/app"), "application 3\n", 'the new program is there');
    ok(!-e "$rootdir/.pve.oci.update", 'and the container can start');
    is(slurp("$rootdir/.pve.oci.removed/0/old/srv/host/file"), "host\n", 'nothing is lost');
    is(changes($rootdir), '', 'no difference after the update');
    is_rolled_back($rootdir, $second);
    is_updated($rootdir);
    # and twice
    shell("$rootdir/.pve.oci.previous/old", $OF_HOST);
    ($code, $out) = pve_oci('update', '--forget', $rootdir, @HERE);
    is($code, 0, 'forgotten');
    is(slurp("$rootdir/.pve.oci.removed/1/old/srv/host/file"), "host\n", 'beside the other');
    is((stat("$rootdir/.pve.oci.removed"))[2] & 07777, 0700, 'only for root');
    is_updated($rootdir);
    shell($rootdir, 'rm -r .pve.oci.removed');
    (undef, $out) = update($rootdir);
    unlike($out, qr/warning/, 'nothing more to be said');
};

subtest 'a rollback that cannot move what the host\'s root has made since' => sub {
    my $rootdir = rootfs();
    my $before = fingerprint($rootdir);
    is_updated($rootdir);
    shell($rootdir, 'mkdir zzz');
    my $changed = fingerprint($rootdir, '.pve.oci.json') =~ s/^\. d .*\n//mr;
    my ($code, undef, $errors) = rollback($rootdir, '--discard-changes');
    is($code, 1, 'refused');
    like($errors, qr{'/zzz' cannot be moved: its owner.*remove it}, 'what to do is said');
    my $now = fingerprint($rootdir, '.pve.oci.json') =~ s/^\. d .*\n//mr;
    is_same_tree($now, $changed, 'the new tree is whole');
    ok(!-e "$rootdir/.pve.oci.update", 'and the container can start');
    rmdir("$rootdir/zzz") or die "rmdir: $!\n";
    is_rolled_back($rootdir, $before);
};

subtest 'the same in the earlier tree' => sub {
    my $rootdir = rootfs();
    my $before = fingerprint($rootdir);
    is_updated($rootdir);
    my $tree = sub () { fingerprint($rootdir, '.pve.oci.json') =~ s/^\. d .*\n//mr };
    my $updated = $tree->();
    for my $path (qw(aaa zzz)) {
        my $place = ".pve.oci.previous/old/$path";
        shell($rootdir, "mkdir $place");
        my ($code, undef, $errors) = rollback($rootdir);
        is($code, 1, 'refused');
        like($errors, qr{'/$path' in the earlier tree cannot be moved: its owner}, 'and why');
        is_same_tree($tree->(), $updated, 'the new tree is whole');
        ok(!-e "$rootdir/.pve.oci.update", 'and the container can start');
        shell($rootdir, "rmdir $place");
    }
    is_rolled_back($rootdir, $before);
};

sub mount_below ($rootdir, @paths) {
    for my $path (@paths) {
        shell($rootdir, "mkdir -p $path; find . -user 0 -exec chown -h 100000:100000 {} +");
        system('mount', '-t', 'tmpfs', 'none', "$rootdir/$path") == 0 or die "mount failed\n";
        write_file("$rootdir/$path/precious", 'data');
    }
    return;
}

subtest 'mounted since the update' => sub {
    my @paths = qw(volume deep/er/volume);
    for my $path (@paths) {
        my $rootdir = rootfs();
        my $before = fingerprint($rootdir);
        is_updated($rootdir);
        mount_below($rootdir, $path);
        my $changed = fingerprint($rootdir);
        my ($code, undef, $errors) = rollback($rootdir, '--discard-changes');
        is($code, 1, "$path: no rollback moves it");
        like(
            $errors, qr{'/\Q$path\E' was mounted since the update: unmount it},
            'what to do is said'
        );
        is_same_tree(fingerprint($rootdir), $changed, 'nothing has changed');
        # a rollback that was killed before it moved the first name
        shell(
            $rootdir,
            'sed -i s/switched/back_out/ .pve.oci.previous/journal;'
                . ' mv .pve.oci.previous .pve.oci.update; mkdir -m 700 .pve.oci.update/new;'
                . ' chown 100000:100000 .pve.oci.update/new'
        );
        ($code, undef, $errors) = rollback($rootdir);
        is($code, 1, 'nor is it moved when that is taken back');
        like($errors, qr{'/\Q$path\E' was mounted since}, 'what to do is said');
        is(slurp("$rootdir/$path/precious"), 'data', 'it is still in its place');
        system('umount', "$rootdir/$path") == 0 or die "umount failed\n";
        ($code, undef, $errors) = rollback($rootdir);
        is($code, 0, 'then it is') or diag($errors);
        is(slurp("$rootdir/bin/app"), "application 1\n", 'the old program is there');
    }
};

subtest 'directories that were made for a mount point or above a kept path' => sub {
    my $rootdir = rootfs('mkdir -p opt/my/data; echo 1 >opt/my/data/file');
    mount_below($rootdir, 'srv/a/volume');
    is_refused($rootdir, qr{^A /opt/my/data/file$}m);
    is_updated($rootdir, '--keep', '/opt/my/data');
    is(changes($rootdir), '', 'no difference after the update');
    like(changes($rootdir, '--all'), qr{^A /srv/a/$}m, 'they are known');
    shell($rootdir, 'mkdir opt/other srv/a/other; chown 100000:100000 opt/other srv/a/other');
    is(changes($rootdir), "A /opt/other/\nA /srv/a/other/\n", 'what is beside counts');
    shell($rootdir, 'rmdir opt/other srv/a/other');
    is_updated($rootdir);
    is(slurp("$rootdir/opt/my/data/file"), "1\n", 'kept');
    is(slurp("$rootdir/srv/a/volume/precious"), 'data', 'the volume too');
    system('umount', "$rootdir/srv/a/volume") == 0 or die "umount failed\n";
};

subtest 'a folder in place of the record' => sub {
    my $rootdir = rootfs('rm .pve.oci.mtree.zst; mkdir -p .pve.oci.mtree.zst/x;'
            . ' chown -R 100000:100000 .pve.oci.mtree.zst');
    is_updated($rootdir, '--base', $IMAGE[1]);
    is(changes($rootdir), '', 'no difference after the update');
};

subtest 'two calls at a time' => sub {
    my $rootdir = rootfs();
    sysopen(my $handle, $rootdir, O_RDONLY | O_DIRECTORY) or die "$rootdir: $!\n";
    flock($handle, LOCK_EX) or die "flock: $!\n";
    my ($code, $out) = update($rootdir, '--dry-run');
    is($code, 0, 'who only looks does not wait') or diag($out);
    is_refused($rootdir, qr/is being updated or rolled back by another call: wait for its end/);
    close($handle) or die "close: $!\n";
    is_updated($rootdir);
};

done_testing();
