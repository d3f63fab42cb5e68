#!/usr/bin/perl
# pve-oci diff, update and rollback on root file systems by the embedded engine: what is kept, and
# what is refused and leaves everything as it was. t/52-update-planted.t has what a container's root
# may have left there.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::OCI::RootUpdate;
use RealDaemon;
use TestImage qw(entry);
use TestUpdate qw(application fingerprint fresh_rootfs is_same_tree pve_oci shell slurp write_file);
use UpdateEdges qw(@HERE @IMAGE changes is_refused is_rolled_back is_updated prepare rootfs update);

my $FOLDER = prepare();
my $ROOT = 100000; # the container's root on the host

subtest 'update, diff, rollback, and again' => sub {
    my $rootdir = rootfs();
    my $before = fingerprint($rootdir);
    is(changes($rootdir), '', 'no difference at first');
    is_updated($rootdir);
    is(changes($rootdir), '', 'no difference after the update');
    is(slurp("$rootdir/data/mine"), "mine\n", 'data stays');
    is(slurp("$rootdir/data/initial"), "initial 1\n", 'data of the old image too');
    ok(
        !-e "$rootdir/only1" && !-e "$rootdir/old" && -e "$rootdir/only2",
        'names of the images'
    );
    is_rolled_back($rootdir, $before);
    my ($code, undef, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 1, 'there is nothing more to go back to');
    like($errors, qr/there is no earlier tree/, 'which is said');
    is_updated($rootdir);
    my $second = fingerprint($rootdir);
    ($code) = pve_oci('update', $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'to version 3');
    my $history = decode_json(slurp("$rootdir/.pve.oci.json"))->{history};
    is(scalar($history->@*), 2, 'the history has both images before');
    is_rolled_back($rootdir, $second);
    is_updated($rootdir);
    ($code) = pve_oci('update', '--forget', $rootdir, @HERE);
    is($code, 0, 'forgotten');
    ok(!-e "$rootdir/.pve.oci.previous", 'the old tree is gone');
};

# A rollback that was killed when it had begun to move names.
sub break_rollback ($rootdir) {
    my $journal = slurp("$rootdir/.pve.oci.previous/journal");
    $journal =~ s/"switched"/"back_out"/ or die "phase: $journal\n";
    write_file("$rootdir/.pve.oci.previous/journal", $journal);
    shell(
        $rootdir,
        'mv .pve.oci.previous .pve.oci.update; cd .pve.oci.update; mkdir -m 700 new; mv ../bin new;'
            . " chown $ROOT:$ROOT new"
    );
    return;
}

subtest 'a rollback that was interrupted' => sub {
    my $rootdir = rootfs();
    my $before = fingerprint($rootdir);
    is_updated($rootdir);
    break_rollback($rootdir);
    my ($code, $out, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 0, 'the next one finishes') or diag($errors);
    like(
        $out, qr/^an earlier call was interrupted and is taken back$/m,
        'says so'
    );
    is_same_tree(fingerprint($rootdir), $before, 'everything is as it was');
    ($code, undef, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 1, 'then there is nothing more');
    like($errors, qr/there is no earlier tree.*rolled back/, 'which is said');
    is_updated($rootdir);
    $before = fingerprint($rootdir);
    # as an update to version 3 that was killed before the first name was moved
    shell($rootdir, "mkdir -m 700 .pve.oci.update; chown $ROOT:$ROOT .pve.oci.update");
    ($code, $out) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 0, 'an update that was interrupted is taken back');
    like(
        $out, qr/another rollback goes back to the one before it$/m,
        'and not the one before it'
    );
    is_same_tree(
        map({ s/^\. d .*\n//mr } fingerprint($rootdir), $before),
        'nothing has changed'
    );
    ($code) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 0, 'another rollback');
    is(slurp("$rootdir/bin/app"), "application 1\n", 'goes back to version 1');
};

subtest 'changes by hand' => sub {
    my $rootdir =
        rootfs('echo more >>etc/app.conf; rm bin/set-id; mkdir -p srv run; touch srv/new;'
            . ' touch etc/hosts run/pid; chmod 700 lib3; chown -R 100000:100000 etc srv run');
    my $wanted =
        "A /srv/\nD /bin/set-id\nC /etc/app.conf (size, time)\nC /lib3 (mode)\nA /srv/new\n";
    my %have = map { $_ => 1 } split(/\n/, changes($rootdir));
    is_deeply([sort keys %have], [sort split(/\n/, $wanted)], 'diff lists them');
    my $all = changes($rootdir, '--all');
    like($all, qr{^written by .*\nA /etc/hosts$}m, 'those of the host apart');
    like($all, qr{^temporary:\nA /run/$}m, 'temporary ones apart');
    my $errors = is_refused($rootdir, qr/5 entries were changed/);
    like($errors, qr/\Q$_\E/, "listed: $_") for split(/\n/, $wanted);
    my ($code, $json) = pve_oci('diff', $rootdir, @HERE, '--json');
    is($code, 1, 'exit code');
    is(decode_json($json)->{comparison}->{changed}, 2, 'as JSON');
    ($code, my $plan) = update($rootdir, '--dry-run');
    is($code, 0, 'a plan');
    like($plan, qr/these changes stop the update.*C \/lib3 \(mode\)/s, 'says so');
    my $before = fingerprint($rootdir);
    is_updated($rootdir, qw(--keep /etc/app.conf --discard-changes));
    is(slurp("$rootdir/etc/app.conf"), "of image 1\nmore\n", 'a kept file stays');
    ok(-e "$rootdir/etc/hosts", 'a file of the host too');
    ok(!-e "$rootdir/srv", 'what was discarded is away');
    is(changes($rootdir), '', 'no difference after the update');
    write_file("$rootdir/etc/late", 'x');
    ($code, undef, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 1, 'a change since then refuses to go back');
    like($errors, qr{^A /etc/late$}m, 'and is listed');
    unlink("$rootdir/etc/late");
    shell($rootdir, 'touch -r .pve.oci.previous/old/bin .');
    is_rolled_back($rootdir, $before);
};

subtest 'contents, by the archive' => sub {
    my $image = application(
        "$FOLDER/made.tar", 1, { WorkingDir => '/made/here' },
        entry('0', 'large', content => 'x' x 600_000)
    );
    my $rootdir = fresh_rootfs($image, @HERE);
    my $daemon = RealDaemon->start('--spares', 0);
    for my $mode (['--embedded'], ['--socket', $daemon->{socket}]) {
        my $checksum = sub (@options) {
            return pve_oci('diff', $rootdir, '--checksum', $image, $mode->@*, @options);
        };
        my $before = fingerprint($rootdir);
        my ($code, $out) = $checksum->();
        is("$code$out", '0', "@$mode: no difference");
        is_same_tree(fingerprint($rootdir), $before, 'looking changes nothing');
        # as who hides something does: same size, times given back, also in the record
        my $hide = 'touch -r FILE /tmp/t.$$; printf "%s" CONTENT | dd of=FILE bs=1 seek=AT'
            . ' conv=notrunc status=none; touch -r /tmp/t.$$ FILE; rm /tmp/t.$$; ';
        my $change = sub ($file, $at, $content) {
            my %of = (FILE => $file, AT => $at, CONTENT => $content);
            shell($rootdir, $hide =~ s/([A-Z]{2,})/$of{$1}/gr);
        };
        shell($rootdir, 'mkdir -p made/here; chown -R 100000:100000 made');
        $change->('bin/app', 0, 'A');
        $change->('large', 599_999, 'y');
        my $changed = fingerprint($rootdir);
        is(
            (pve_oci('diff', $rootdir, @HERE))[1], "A /made/\nA /made/here/\n",
            'the record is blind'
        );
        ($code, $out) = $checksum->();
        is($code, 1, 'exit code');
        is(
            join('', sort split(/^/, $out)),
            "C /bin/app (content)\nC /large (content)\n", 'what was hidden is found'
        );
        is_same_tree(fingerprint($rootdir), $changed, 'looking changes nothing');
        ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
        ($code, $out) = $checksum->('--json', '--keep', '/large');
        is($code, 1, 'exit code');
        my $comparison = decode_json($out)->{comparison};
        is($comparison->{changed}, 1, 'as JSON, what is kept apart');
        my ($app) = grep { $_->{path} eq '/bin/app' } $comparison->{changes}->@*;
        is_deeply($app->{differences}, ['content'], 'what of it');
        $change->('bin/app', 0, 'a');
        $change->('large', 599_999, 'x');
        shell($rootdir, 'rmdir made/here made');
    }
    # a record that was made to fit says nothing
    shell($rootdir, 'chmod 4755 bin/app; rm -rf old');
    is(
        (pve_oci('extract', '-q', '--record', $image, my $other = tempdir(), @HERE))[0], 0,
        'other'
    );
    shell($other, 'chmod 4755 bin/app; rm -rf old');
    PVE::OCI::RootUpdate::apply_update(
        'record', $other,
        { mode => 'embedded', id_map => [map { [$_, 0, $ROOT, 65536] } qw(u g)] },
    );
    system('cp', '-a', "$other/.pve.oci.mtree.zst", $rootdir) == 0 or die "cp failed\n";
    is((pve_oci('diff', $rootdir, @HERE))[1], '', 'the record was made to fit');
    my (undef, $out) = pve_oci('diff', $rootdir, '--checksum', $image, @HERE);
    is($out, "D /old/\nC /bin/app (mode)\nD /old/x\n", 'the archive is asked alone');
    unlink("$rootdir/.pve.oci.mtree.zst") or die $!;
    is(
        (pve_oci('diff', $rootdir, '--checksum', $image, @HERE))[1], $out,
        'no record is needed'
    );
    my ($code, undef, $errors) = pve_oci('diff', $rootdir, '--checksum', "$FOLDER/none", @HERE);
    isnt($code, 0, 'no such archive');
    like($errors, qr/No such file/, 'which is said');
};

subtest 'no record' => sub {
    my $rootdir = rootfs('rm .pve.oci.mtree.zst; echo more >>etc/app.conf');
    my ($code, undef, $errors) = pve_oci('diff', $rootdir, @HERE);
    is($code, 1, 'diff fails');
    like($errors, qr/record/, 'and says why');
    is_refused($rootdir, qr/--base ARCHIVE.*--discard-changes/);
    ($code, undef, $errors) = update($rootdir, '--base', $IMAGE[1]);
    is($code, 1, 'refused');
    like($errors, qr{C /etc/app.conf}, 'with the archive of the old image the change is found');
    is_updated($rootdir, '--discard-changes');
};

my @KEPT = (
    # what, made in the old tree, --keep, message if it is refused
    ['a link', 'mkdir -p mnt/disk; echo far >mnt/disk/f; ln -s /mnt/disk opt', '/opt'],
    [
        'a path through a link', 'mkdir -p far/x; ln -s far near', '/near/x',
        qr/leads to '.far.x' now/
    ],
    [
        'below a file of the new image', 'mkdir only2; echo x >only2/f', '/only2/f',
        qr/'\/only2' is/
    ],
    ['one of two names', 'mkdir k; echo 1 >k/a; ln k/a b; chown 100000 b', '/k/a'],
    ['a volume in a volume', 'mkdir data/in; echo 1 >data/in/f', '/data/in'],
    ['the whole root', 'true', '/', qr/the whole root file system/],
    ['a way up', 'true', '/data/../..', qr/the whole root file system/],
    ['a circle of links', 'ln -s b a; ln -s a b', '/a/x', qr/circle/],
    [
        'its own folder', 'true', '/.pve.oci.update/new/bin',
        qr/'\/.pve.oci.update\/new\/bin' cannot/
    ],
    [
        'a link to its own folder', 'ln -s .pve.oci.update/new/bin opt', '/opt',
        qr/'\/opt' cannot be kept: it leads to '\/.pve.oci.update\/new\/bin'.*mend the link/
    ],
    ['its own record', 'true', '//.pve.oci.mtree.zst', qr/belong to pve-oci/],
    ['what is not there', 'true', '/nothing/here'],
    ['a name that is no text', 'mkdir "$(printf "a\\377b")"', "/a\\xffb"],
);
for my $case (@KEPT) {
    my ($what, $script, $path, $refused) = $case->@*;
    subtest "kept: $what" => sub {
        my $rootdir = rootfs("($script); find . -user 0 -exec chown -h 100000:100000 {} +");
        my @options = ('--keep', $path, '--discard-changes');
        if ($refused) {
            is_refused($rootdir, $refused, @options);
            return;
        }
        my $before = fingerprint($rootdir);
        my $list = 'ls -lR .' . $path =~ s/\\xff/?/r . ' 2>/dev/null || true';
        my $kept = shell($rootdir, $list);
        is_updated($rootdir, @options);
        is(shell($rootdir, $list), $kept, 'it is as it was') if $kept ne '';
        is_rolled_back($rootdir, $before, '--discard-changes');
    };
}

subtest 'a volume that is mounted below' => sub {
    my $rootdir = rootfs('mkdir srv; chown 100000 srv');
    for my $path (qw(srv lib2)) {
        system('mount', '-t', 'tmpfs', 'none', "$rootdir/$path") == 0 or die "mount failed\n";
        write_file("$rootdir/$path/precious", 'data');
    }
    is_updated($rootdir, '--discard-changes');
    is(slurp("$rootdir/$_/precious"), 'data', "$_ is neither touched nor hidden")
        for qw(srv lib2);
    my ($code) = pve_oci('rollback', $rootdir, @HERE, '--discard-changes');
    is($code, 0, 'rolled back');
    is(slurp("$rootdir/$_/precious"), 'data', "$_ is still there") for qw(srv lib2);
    system('umount', "$rootdir/$_") == 0 or die "umount failed\n" for qw(srv lib2);
    is(slurp("$rootdir/lib2/a"), 'lib2/a 1', 'and so is what it had hidden');
};

subtest 'names of PATH_MAX' => sub {
    my $path = join('/', ('n' x 255) x 16);
    my $long = entry('L', '././@LongLink', content => "$path\0")
        . entry('0', substr($path, 0, 99), content => 'far');
    my $image = application("$FOLDER/long.tar", 2, {}, $long);
    local $IMAGE[2] = $image;
    # and what the container's root has made, which has a path that no call takes
    my $deep =
          'for i in $(seq 20); do mkdir $(printf %0200d 0); cd $(printf %0200d 0) || exit 1;'
        . ' done; echo deep >file';
    my $rootdir = rootfs("mkdir deep; (cd deep; $deep); chown -R 100000:100000 deep");
    my $way = sub ($start, $name, $count) {
        return shell($start, "for i in \$(seq $count); do cd $name; done; cat *");
    };
    my @deep = ('0' x 200, 20);
    is($way->("$rootdir/deep", @deep), "deep\n", 'there is a deep one');
    is_updated($rootdir, '--discard-changes');
    is($way->($rootdir, 'n' x 255, 15), 'far', 'the new image has the longest that there is');
    is(changes($rootdir), '', 'no difference after the update');
    my ($code) = pve_oci('update', $rootdir, $IMAGE[3], @HERE);
    is($code, 0, 'to version 3');
    ok(!-e "$rootdir/" . 'n' x 255, 'which does not have it');
    ($code) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 0, 'rolled back');
    is($way->($rootdir, 'n' x 255, 15), 'far', 'there it is again');
    ($code) = pve_oci('update', $rootdir, $IMAGE[1], @HERE);
    is($code, 0, 'to version 1');
    is_updated($rootdir);
    is_updated($rootdir, '--keep', '/' . 'n' x 255);
    is($way->($rootdir, 'n' x 255, 15), 'far', 'kept');
    ($code) = pve_oci('update', '--forget', $rootdir, @HERE);
    is($code, 0, 'and the earlier one can be removed');
    ok(!-e "$rootdir/.pve.oci.previous", 'with all that it had');
};

# A root file system on a file system of its own.
sub small_rootfs ($options) {
    my $mount = tempdir(DIR => $FOLDER);
    system('mount', '-t', 'tmpfs', '-o', $options, 'none', $mount) == 0 or die "mount failed\n";
    mkdir("$mount/ct") or die $!;
    my ($code, undef, $errors) =
        pve_oci('extract', '-q', '--record', $IMAGE[1], "$mount/ct", @HERE);
    die $errors if $code;
    return ($mount, "$mount/ct");
}

subtest 'a full file system' => sub {
    my $big = application("$FOLDER/big.tar", 2, {}, entry('0', 'big', content => 'x' x 8e6));
    local $IMAGE[2] = $big;
    my ($mount, $rootdir) = small_rootfs('size=4m');
    is_refused($rootdir, qr/not enough space/);
    system('umount', $mount);
    ($mount, $rootdir) = small_rootfs('size=64m,nr_inodes=60');
    my $too_few =
        qr/not enough inodes: the new image takes about [0-9]+ inodes .* and [0-9]+ are/;
    is_refused($rootdir, $too_few);
    is(changes($rootdir), '', 'and all is well');
    # one that has more than such an image should
    local $IMAGE[2] =
        application("$FOLDER/many.tar", 2, {}, join('', map { entry('0', "m$_") } 1 .. 200));
    system('mount', '-o', 'remount,nr_inodes=200', $mount) == 0 or die "mount failed\n";
    is_refused($rootdir, qr/not enough space, inodes or quota.*(?:ENOSPC|No space left)/);
    is(changes($rootdir), '', 'and all is well');
    system('mount', '-o', 'remount,nr_inodes=2000', $mount) == 0 or die "mount failed\n";
    is_updated($rootdir);
    my ($used) = qx(df --output=iused $mount) =~ /([0-9]+)/;
    system('mount', '-o', "remount,nr_inodes=$used", $mount) == 0 or die "mount failed\n";
    my ($code, undef, $errors) = pve_oci('rollback', $rootdir, @HERE);
    is($code, 1, 'no inode for the way back');
    like($errors, qr/quota for both images, free some and try again/, 'it is said');
    system('mount', '-o', 'remount,nr_inodes=2000', $mount) == 0 or die "mount failed\n";
    is((pve_oci('rollback', $rootdir, @HERE))[0], 0, 'rolled back when there are some');
    is(changes($rootdir), '', 'to what was there');
    system('umount', $mount);
};

subtest 'few inodes on ext4' => sub {
    my ($file, $mount) = ("$FOLDER/ext4", tempdir(DIR => $FOLDER));
    plan(skip_all => 'no ext4 on a loop device')
        if system("truncate -s 32M $file; mkfs.ext4 -q -N 80 $file >/dev/null 2>&1"
            . " && mount -o loop $file $mount 2>/dev/null");
    my $rootdir = "$mount/ct";
    system('cp', '-aT', rootfs(), $rootdir) == 0 or die "cp failed\n";
    is_refused($rootdir, qr/not enough inodes/);
    is(changes($rootdir), '', 'and all is well');
    system('umount', $mount) == 0 or die "umount failed\n";
};

subtest 'a quota' => sub {
    my ($file, $mount) = ("$FOLDER/disk", tempdir(DIR => $FOLDER));
    plan(skip_all => 'no btrfs on a loop device')
        if system("truncate -s 256M $file; mkfs.btrfs -q $file >/dev/null 2>&1"
            . " && mount -o loop $file $mount 2>/dev/null");
    my $is_limited =
        system("btrfs quota enable $mount && btrfs subvolume create $mount/ct >/dev/null") == 0;
    if ($is_limited) {
        my $rootdir = "$mount/ct";
        system('cp', '-aT', rootfs(), $rootdir) == 0 or die "cp failed\n";
        system("sync -f $rootdir; btrfs qgroup limit 4M $rootdir") == 0 or die "no limit\n";
        my $big =
            application("$FOLDER/bigger.tar", 2, {}, entry('0', 'big', content => 'x' x 8e6));
        local $IMAGE[2] = $big;
        is_refused($rootdir, qr/not enough space, inodes or quota.*EDQUOT/);
        is(changes($rootdir), '', 'and all is well');
        system("btrfs qgroup limit none $rootdir") == 0 or die "limit\n";
        is_updated($rootdir);
    }
    system('umount', $mount) == 0 or die "umount failed\n";
    plan(skip_all => 'no quota groups') if !$is_limited;
};

subtest 'a read-only file system' => sub {
    my ($mount, $rootdir) = small_rootfs('size=64m');
    system('mount', '-o', 'remount,ro', $mount) == 0 or die "mount failed\n";
    is_refused($rootdir, qr/EROFS|Read-only/);
    system('umount', $mount);
};

done_testing();
