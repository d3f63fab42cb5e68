#!/usr/bin/perl
# pve-oci diff, update and rollback, by the daemon and by the embedded engine, where the tree or the
# new image is odd in a way that tools stumble over: flags, modes, links, names, mounts. Nothing
# outside is touched, nothing is left behind, one whole system is there, and an error names what it
# is about.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use RealDaemon;
use TestImage qw(entry);
use TestUpdate qw(application fingerprint is_same_tree pve_oci shell slurp write_file);
use UpdateEdges qw(@HERE @IMAGE copy_of prepare rootfs);

BEGIN { $ENV{TMPDIR} //= '/dev/shm' if -w '/dev/shm' }

my $FOLDER = prepare();
my $VICTIM = "$FOLDER/victim";
mkdir($VICTIM) or die "mkdir: $!\n";
shell($VICTIM, 'echo secret >secret; mkdir folder; echo file >folder/file');
my $OUTSIDE = fingerprint($VICTIM);
my $PRISTINE = rootfs();

my $SOCKET = 'perl -MSocket -e "socket(S,1,1,0);bind(S,pack_sockaddr_un(q(NAME)))"';
my $IMMUTABLE = qr/immutable or append-only.*chattr\(1\)/;
my $PLANTED = qr{/\.pve\.oci\.[a-z]+ was not made by an update: look at it};
my $TO_THE_CONTAINER = 'find . -xdev -user 0 -exec chown -h 100000:100000 {} +';

# A new image with these entries in a layer of its own.
sub image ($config, @entries) {
    state $number = 0;
    return application("$FOLDER/image" . ++$number . '.tar', 2, $config, join('', @entries));
}

sub is_able_to ($command) {
    my $file = "$FOLDER/able";
    write_file($file, '');
    return system("($command $file) >/dev/null 2>&1") == 0;
}

my $HAS_FLAGS = is_able_to('f() { chattr +i $1 && chattr -i $1; }; f');
my $HAS_ACLS = is_able_to('setfacl -m u:7:r');
my $HAS_ATTRIBUTES = is_able_to('setfattr -n user.x -v y');

# What is done in the old tree as root, which then goes to the container. after: what the host's
# root does then; undo: takes it back, so that the tree can be removed; image: the new one; keep;
# refused: the message of an update that is refused, while everything else works; if: whether it
# can be tried here.
my @CASES = (
    [
        'names that are no text, and the longest',
        q{mkdir "$(printf 'a\nb\033[2J')"; touch "$(printf 'c\r\177\233')" "$(printf %0255d 7)";}
            . q{ ln -s "$(printf 'to\n\033]0;x\007')" "$(printf 'ln\t')"; touch -- -rf '*' ' '}
    ],
    ['modes', 'chmod 0 bin etc lib3 .; chmod 7777 lib1; chmod 7000 bin/app'],
    ['set-ID bits of the root directory', 'chmod 7777 .'],
    [
        'a default ACL of the root directory',
        'setfacl -d -m u:101000:rwx,o::rwx .; setfacl -m u:101000:rwx .', if => $HAS_ACLS
    ],
    [
        'ACLs and attributes of directories that stay',
        'mkdir -p srv/a; touch srv/a/f; setfacl -m u:5:rwx,m::rwx srv srv/a bin/app;'
            . ' setfattr -n user.x -v $(head -c 5000 /dev/zero | tr "\0" x) . srv bin/app',
        keep => '/srv/a/f', if => $HAS_ACLS && $HAS_ATTRIBUTES
    ],
    ['a capability', 'setcap cap_sys_admin+eip bin/app'],
    [
        'hard links between what stays and what goes',
        'ln bin/app data/app; ln bin/set-id data/set-id; ln data/initial etc/initial;'
            . ' rm lib2/b; ln data/mine lib2/b'
    ],
    [
        'very many hard links',
        q{perl -e 'mkdir("links"); link("bin/app", "links/$_") || die for 1 .. 50_000'}
    ],
    ['files of terabytes', 'truncate -s 1T huge etc/huge; truncate -s 1T etc/app.conf'],
    ['a FIFO in place of a volume', 'rm -r data; mkfifo data'],
    [
        'sockets in place of directories',
        "rm -r old etc; $SOCKET; mv NAME etc; $SOCKET; mv NAME old", keep => '/etc/x/y'
    ],
    [
        'a socket in place of the record',
        "rm .pve.oci.mtree.zst; $SOCKET; mv NAME .pve.oci.mtree.zst"
    ],
    [
        'links in place of our files',
        "for f in .pve.oci.mtree.zst .pve.oci.json .pve.env; do ln -sf $VICTIM/secret \$f; done"
    ],
    ['a FIFO in place of the history', 'rm .pve.oci.json; mkfifo .pve.oci.json'],
    [
        'names of whiteouts', 'touch .wh.bin .wh..wh..opq etc/.wh.app.conf; mknod white c 0 0;'
            . ' setfattr -n trusted.overlay.opaque -v y lib1', if => $HAS_ATTRIBUTES
    ],
    ['impossible times', 'touch -d @-2147483648 . etc; touch -d @17179869183 lib1 bin/app'],
    [
        'a kept file deep down',
        'p=.; for i in $(seq 200); do p=$p/d; done; mkdir -p $p; >$p/f',
        keep => '/' . 'd/' x 200 . 'f'
    ],
    [
        'bind mounts of the host\'s files', 'mkdir -p srv/m; touch srv/f',
        after => "mount --bind $VICTIM srv/m; mount --bind $VICTIM/secret srv/f;"
            . " mount --bind $VICTIM/secret etc/app.conf; mount --bind $VICTIM lib2",
        undo => 'umount srv/m srv/f etc/app.conf lib2', keep => '/lib2'
    ],
    [
        'a bind mount of the root directory', 'mkdir -p srv/m',
        after => 'mount --bind . srv/m', undo => 'umount srv/m'
    ],
    [
        'an immutable directory', '', after => 'chattr +i etc', undo => 'chattr -i etc',
        refused => qr{'/etc' cannot be moved: .* immutable}, if => $HAS_FLAGS
    ],
    [
        'an append-only root directory', '', after => 'chattr +a .', undo => 'chattr -a .',
        refused => $IMMUTABLE, if => $HAS_FLAGS
    ],
    [
        'an immutable root directory', '', after => 'chattr +i .', undo => 'chattr -i .',
        refused => $IMMUTABLE, if => $HAS_FLAGS
    ],
    [
        'an append-only directory above a kept path', 'mkdir -p srv/a; touch srv/a/f srv/a/g',
        keep => '/srv/a/f', after => 'chattr +a srv/a', undo => 'chattr -a srv/a',
        refused => qr{'/srv/a' is immutable or append-only}, if => $HAS_FLAGS
    ],
    (
        map { (
            [
                "$_ of another user", "mkdir -m 700 $_",
                after => "chown 101000:101000 $_", refused => $PLANTED
            ],
            ["$_ of the host", '', after => "mkdir -m 700 $_", refused => $PLANTED],
            ["a link in place of $_", "ln -s $VICTIM $_", refused => $PLANTED],
        ) } qw(.pve.oci.update .pve.oci.previous .pve.oci.removed)
    ),
    [
        'an image with our files', '',
        image => image(
            {}, entry('5', '.pve.oci.update/', mode => 0777),
            entry('0', '.pve.oci.update/journal', content => '{"version":1}'),
            entry('2', '.pve.oci.previous', link => '/etc'),
            entry('5', '.pve.oci.mtree.zst/'), entry('0', '.pve.oci.mtree.zst/x'),
            entry('2', '.pve.oci.json', link => '/etc/passwd'), entry('5', '.pve.init/'),
            entry('0', '.pve.oci.removed'),
        )
    ],
    [
        'an image whose volume is a link elsewhere', '',
        image => image({}, entry('0', '.wh.data'), entry('2', 'data', link => '/etc')),
        refused => qr{'/data' is kept: it leads to '/data' now and to '/etc' in the new image}
    ],
    [
        'an image with a FIFO in place of the volume', '',
        image => image({}, entry('0', '.wh.data'), entry('6', 'data'))
    ],
    [
        'an image whose volumes lead outside', '',
        image => image({ Volumes => { '/data' => {}, '/..' => {}, 'data/../../x' => {} } }),
        refused => qr/cannot be kept: it is the whole root file system/
    ],
);

# Changes of the root directory's own time are not looked at: its entries come and go.
sub tree ($rootdir) {
    return shell(
        $rootdir,
        'find . -xdev -printf "%p %y %m %U %G %n %s %l\n" 2>/dev/null | grep -av "^\. d"'
            . ' | LC_ALL=C sort;'
            . ' find . -xdev -type f -size -1M -exec sha256sum {} + 2>/dev/null | sort',
    );
}

sub run_case ($what, $script, %case) {
    my @engine = $case{engine}->@*;
    my $rootdir = copy_of($PRISTINE);
    shell($rootdir, "$script\n$TO_THE_CONTAINER\n" . ($case{after} // ''));
    my $before = tree($rootdir);
    my $is_refused = defined($case{refused});
    my $run = sub ($verb, @arguments) {
        my ($code, $out, $errors) = pve_oci($verb, @arguments, @engine);
        my $said = "$out$errors";
        cmp_ok($code, '<', 2, "$verb ends") or diag("$code: $said");
        unlike($said, qr/[^ -~\n]/, '... printable characters only');
        unlike(
            $said, qr/ at \S+ line [0-9]+|Exception|WorkerFailed|SystemError/,
            '... in words'
        ) or diag($said);
        is(fingerprint($VICTIM), $OUTSIDE, '... and nothing outside was touched');
        return ($code, $said);
    };
    my @tree = ('--uidmap', '0:100000:65536', $rootdir);
    $run->('diff', @tree);
    $run->('diff', '--checksum', $IMAGE[1], @tree);
    ok(tree($rootdir) eq $before, 'looking changes nothing');
    my @keep = defined($case{keep}) ? ('--keep', $case{keep}) : ();
    my ($code, $said) =
        $run->('update', @tree, $case{image} // $IMAGE[2], '--discard-changes', @keep);
    if ($is_refused) {
        is($code, 1, 'refused');
        like($said, $case{refused}, 'and why');
        is_same_tree(tree($rootdir), $before, 'nothing has changed');
    } else {
        is($code, 0, 'updated') or diag($said);
        ok(!-e "$rootdir/.pve.oci.update", 'nothing is left behind');
        is(slurp("$rootdir/bin/app"), "application 2\n", 'a whole system: its program');
        is(slurp("$rootdir/lib9/a"), 'lib9/a 2', '... and its library');
        $run->('diff', @tree);
        ($code, $said) = $run->('rollback', @tree, '--discard-changes');
        is($code, 0, 'rolled back') or diag($said);
        is_same_tree(tree($rootdir), $before, 'everything is as it was');
    }
    shell($rootdir, $case{undo}) if defined($case{undo});
    return;
}

# Each engine in turn: they have the same code behind them. PVE_OCI_TEST_BOTH: both for each case.
my $daemon = RealDaemon->start('--spares', 0);
my @engines = (\@HERE, ['--socket', $daemon->{socket}]);
for my $number (0 .. $#CASES) {
    my ($what, $script, %more) = $CASES[$number]->@*;
    for my $engine ($ENV{PVE_OCI_TEST_BOTH} ? @engines : $engines[$number % 2]) {
        subtest "$what, $engine->[0]" => sub {
            plan(skip_all => 'cannot be tried here') if exists($more{if}) && !$more{if};
            run_case($what, $script, %more, engine => $engine);
        };
    }
}

# Image and container may give their root directory to any of their users.
subtest 'whoever owns the root directory, the ID map is the container\'s' => sub {
    my $rootdir = copy_of($PRISTINE);
    chown(100_005, 165_535, $rootdir) or die "chown: $!\n";
    my $before = tree($rootdir);
    my ($code, undef, $errors) = pve_oci('diff', $rootdir, @HERE);
    is($code, 0, 'no difference') or diag($errors);
    ($code, undef, $errors) =
        pve_oci('update', $rootdir, $IMAGE[2], '--discard-changes', @HERE);
    is($code, 0, 'updated') or diag($errors);
    is(join(':', (stat("$rootdir/bin/app"))[4, 5]), '100000:100000', 'owner of a new file');
    ($code, undef, $errors) = pve_oci('rollback', $rootdir, '--discard-changes', @HERE);
    is($code, 0, 'rolled back') or diag($errors);
    is_same_tree(tree($rootdir), $before, 'everything is as it was');
};

# The volumes of the image stay, so each call after the update names them.
subtest 'an image with forty thousand volumes' => sub {
    my $image = image({ Volumes => { map { ("/v/$_" => {}) } 'data', 1 .. 40_000 } });
    for my $engine (@engines) {
        my $rootdir = copy_of($PRISTINE);
        my ($code, undef, $errors) = pve_oci('update', $rootdir, $image, $engine->@*);
        is($code, 0, "$engine->[0]: updated") or diag($errors);
        ($code, undef, $errors) = pve_oci('diff', $rootdir, $engine->@*);
        if ($engine->[0] eq '--socket') {
            is($code, 2, 'the daemon does not take them all');
            like($errors, qr/the call has [0-9]+ bytes.*too many volumes/, 'which is said');
        } else {
            cmp_ok($code, '<', 2, 'the embedded engine does') or diag($errors);
        }
    }
};

done_testing();
