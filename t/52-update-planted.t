#!/usr/bin/perl
# pve-oci diff, update and rollback by the embedded engine on root file systems in which a
# container's root has planted something, or has made very many names or deep folders.
# PVE_OCI_TEST_NAMES: how many names the large tree has (100000).

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use TestUpdate qw(fingerprint is_same_tree pve_oci shell slurp write_file);
use UpdateEdges qw(@HERE @IMAGE changes copy_of is_updated prepare rootfs update);

# names by the hundred thousand are made, moved and removed: a disk takes twice as long
BEGIN { $ENV{TMPDIR} //= '/dev/shm' if -w '/dev/shm' }

my $NAMES = $ENV{PVE_OCI_TEST_NAMES} // 100_000;
my $FOLDER = prepare();

my $VICTIM = "$FOLDER/victim";
mkdir($VICTIM) or die $!;
write_file("$VICTIM/journal", '{"version":1,"phase":"in","kept":[],"directories":[]}');
shell($VICTIM, 'mkdir new old; touch new/a old/b');
my $OUTSIDE = fingerprint($FOLDER);
my $JOURNAL = '{"version":1,"phase":"in","kept":[],"directories":[{"path":"../../victim","before":'
    . '{"mode":511,"uid":0,"gid":0,"seconds":0,"nanos":0,"extended":{}}}]}';
my @CONTENTS = (
    "ln -s $VICTIM NAME", "ln -s ../victim NAME", 'mkfifo NAME', 'mknod NAME c 1 3',
    'mkdir -m 777 NAME',
    'ln -s NAME NAME', 'head -c 100000 /dev/urandom >NAME', 'truncate -s 10G NAME',
    'mkdir -m 700 NAME',
    "mkdir -m 700 NAME; ln -s $VICTIM NAME/new; ln -s $VICTIM NAME/old;"
        . " ln -s $VICTIM/journal NAME/journal",
    "mkdir -m 700 NAME NAME/new NAME/old; echo '$JOURNAL' >NAME/journal; chmod 600 NAME/journal",
    'mkdir -m 700 NAME; mkfifo NAME/journal', 'mkdir -m 700 NAME; truncate -s 10G NAME/journal',
);
my @TRAPS =
    qw(.pve.oci.update .pve.oci.previous .pve.oci.mtree.zst .pve.oci.json .pve.env .pve.init);
my $PRISTINE = rootfs();

# A directory without a journal is what an interrupted extraction has left.
subtest 'planted in place of the folder that stages an update' => sub {
    for my $content (@CONTENTS) {
        my $is_removed = $content eq 'mkdir -m 700 NAME';
        for my $options ([], ['--discard-changes']) {
            my $rootdir = copy_of($PRISTINE);
            shell($rootdir, $content =~ s/NAME/.pve.oci.update/gr);
            shell($rootdir, 'find . -user 0 -exec chown -h 100000:100000 {} +');
            my $before = fingerprint($rootdir);
            my $planted = shell($rootdir, 'stat -c "%F %a %u" .pve.oci.update');
            my ($code, $out, $errors) = update($rootdir, $options->@*);
            if ($is_removed) {
                is($code, 0, "$content: removed, and updated") or diag($errors);
                ok(!-e "$rootdir/.pve.oci.update", 'nothing is left');
                next;
            }
            is($code, 1, "$content @$options: refused") or diag("$out$errors");
            like(
                $errors, qr{/\.pve\.oci\.update.*look at|cannot be},
                'the message says what to do'
            );
            is_same_tree(fingerprint($rootdir), $before, 'nothing has changed');
            is(
                shell($rootdir, 'stat -c "%F %a %u" .pve.oci.update'),
                $planted, 'it stays for the administrator to look at'
            );
        }
    }
    is_same_tree(fingerprint($FOLDER), $OUTSIDE, 'nothing outside was touched');
};

for my $names (['.pve.oci.update'], ['.pve.oci.previous'], [@TRAPS[2 .. $#TRAPS]]) {
    subtest "planted: @$names" => sub {
        for my $content (@CONTENTS) {
            my $rootdir = copy_of($PRISTINE);
            shell($rootdir, "rm -f $_; " . $content =~ s/NAME/$_/gr) for $names->@*;
            shell($rootdir, 'find . -user 0 -exec chown -h 100000:100000 {} +');
            for my $command (['diff'], ['update', $IMAGE[2]], ['rollback']) {
                my ($verb, @archive) = $command->@*;
                my @options = (@HERE, $verb eq 'diff' ? () : '--discard-changes');
                my ($code, $out, $errors) = pve_oci($verb, $rootdir, @archive, @options);
                cmp_ok($code, '<', 2, "$content: $verb ends") or diag("$code: $errors");
                unlike("$out$errors", qr/ at \S+ line [0-9]+|Exception/, 'message of its own');
            }
            like(
                slurp("$rootdir/bin/app"), qr/\Aapplication [12]\n\z/,
                'a whole system is there'
            );
            is_same_tree(fingerprint($FOLDER), $OUTSIDE, 'nothing outside was touched');
        }
    };
}

# Deeper than a path can name.
sub make_deep ($rootdir) {
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        chdir($rootdir) or POSIX::_exit(1);
        for my $number (1 .. 60) {
            my $name = sprintf('%0200d', $number);
            mkdir($name) && chown(100000, 100000, $name) && chdir($name) or POSIX::_exit(1);
        }
        POSIX::_exit(0);
    }
    waitpid($pid, 0);
    die "no deep folders\n" if $?;
    return;
}

# Of a mail server, say. In a directory that is not kept they are refused when they need too much
# memory.
subtest "$NAMES long names" => sub {
    my $rootdir = rootfs('mkdir data/many many; touch etc/hosts; chown 100000 etc/hosts');
    for my $count (1 .. 2 * $NAMES) {
        my $name = sprintf('%0240d', $count);
        POSIX::mkfifo("$rootdir/data/many/$name", 0600) or die $!;
        rename("$rootdir/data/many/$name", "$rootdir/many/$name")
            or die $!
            if $count > $NAMES * 1.5;
    }
    shell($rootdir, 'chown -Rh 100000:100000 many data/many');
    my $list = 'find data many | sort | sha256sum';
    my $before = shell($rootdir, $list);
    my ($code, undef, $errors) = update($rootdir);
    is($code, 1, 'the ones in no volume refuse the update');
    like($errors, qr/entries were changed/, 'and are counted');
    is(shell($rootdir, $list), $before, 'all stay');
    my $start = time();
    is_updated($rootdir, '--discard-changes');
    diag(sprintf('update of %d names: %.1f s', 2 * $NAMES, time() - $start));
    my ($rolled_back) = pve_oci('rollback', $rootdir, @HERE, '--discard-changes');
    is($rolled_back, 0, 'rolled back');
    is(shell($rootdir, $list), $before, 'all are as they were');
    # as many names in a directory that stays, because PVE's files are in it
    shell(
        $rootdir,
        'chmod 755 etc; mv many/* etc/ 2>/dev/null || find many -type p -exec mv -t etc {} +'
    );
    $list = 'find etc | sort | sha256sum';
    $before = shell($rootdir, $list);
    is_updated($rootdir, '--discard-changes');
    is(shell($rootdir, 'ls etc | wc -l'), "3\n", 'they are away');
    ($rolled_back) = pve_oci('rollback', $rootdir, @HERE, '--discard-changes');
    is($rolled_back, 0, 'rolled back');
    is(shell($rootdir, $list), $before, 'they are back');
};

subtest "$NAMES names, deep folders, devices" => sub {
    my $rootdir = rootfs('mkdir many; mknod device c 1 3; mkfifo pipe; ln -s loop loop');
    make_deep($rootdir);
    my $count = $NAMES;
    while ($count-- > 0) {
        open(my $handle, '>', "$rootdir/many/$count") or die $!;
    }
    shell($rootdir, 'chown -Rh 100000:100000 many device pipe loop');
    my $start = time();
    my $changes = changes($rootdir, '--json');
    diag(sprintf('diff of %d names: %.1f s', $NAMES, time() - $start));
    cmp_ok(decode_json($changes)->{comparison}->{added}, '>=', $NAMES, 'all are counted');
    is_updated($rootdir, '--discard-changes');
    ok(!-e "$rootdir/many", 'they are away');
    my ($code) = pve_oci('rollback', $rootdir, @HERE, '--discard-changes');
    is($code, 0, 'rolled back');
    my @before_and_now =
        map { decode_json($_)->{comparison} } $changes, changes($rootdir, '--json');
    is_deeply(@before_and_now[1, 0], 'they are back');
};

done_testing();
