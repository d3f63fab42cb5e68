#!/usr/bin/perl
# Images like those of a database and a web server, in three versions that were built apart, with
# changes of every kind that an administrator makes: updates from 1 to 3, and the way back, which
# has to give exactly the tree of before. PVE_OCI_TEST_KILLS: how many updates and rollbacks are
# killed besides (0).

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use TestImage qw(write_image);
use TestSupport qw(root);
use TestUpdate qw(fresh_rootfs is_same_tree pve_oci shell slurp);

plan(skip_all => 'needs root') if $> != 0;
my @HERE = ('--embedded');
{
    my ($code, undef, $errors) = pve_oci('detect', '/dev/null', @HERE);
    plan(skip_all => "no embedded engine: $errors") if $code == 69;
}

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my $FATTR = -x '/usr/bin/setfattr' ? 'setfattr' : 'true';
my $FACL = -x '/usr/bin/setfacl' ? 'setfacl' : 'true';

# Everything of a tree but change times and the numbers of inodes: of those, which are the same.
sub picture ($rootdir) {
    my $find = 'find . -path ./.pve.oci.update -prune -o -path ./.pve.oci.previous -prune -o';
    my @entries = split(/\0/, shell($rootdir, "$find -printf '%P\\t%i\\t%y %m %U %G %T@ %l\\0'"));
    my (%first, @lines);
    for my $entry (sort @entries) {
        my ($path, $inode, $rest) = split(/\t/, $entry, 3);
        push @lines, join(' ', map { s/\n/\\n/gr } $path, $first{$inode} //= $path, $rest);
    }
    my $more = "$find -type f -printf '%P %s\\n' | sort;"
        . " $find -type f -print0 | sort -z | xargs -0 sha256sum";
    $more .= "; $find -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex"
        if $FATTR ne 'true';
    return join("\n", @lines, shell($rootdir, $more));
}

# An image of what each script has made, a layer for each.
sub built ($name, $config, @scripts) {
    my @layers;
    for my $script (@scripts) {
        my $tree = tempdir(DIR => $FOLDER);
        shell($tree, "umask 022; $script");
        push @layers,
            shell(
                $tree,
                'tar -c --xattrs --xattrs-include="*" --acls --numeric-owner --sort=name *'
            );
    }
    return write_image("$FOLDER/$name.tar", $config, @layers);
}

sub database ($version) {
    my $release = 14 + $version;
    my $base =
        $version == 1
        ? 'mkdir -p lib bin usr/lib; echo c1 >lib/libc.so; ln -s libc.so lib/libc.so.6;'
        . ' echo shell >bin/sh'
        : "mkdir -p usr/lib usr/bin; ln -s usr/lib lib; ln -s usr/bin bin; echo c$version"
        . ' >usr/lib/libc.so; ln -s libc.so usr/lib/libc.so.6; echo shell >usr/bin/sh';
    return built(
        "database$version",
        {
            Cmd => ["/usr/lib/postgresql/$release/bin/postgres"], User => '70',
            Env => ["PG_MAJOR=$release"], Volumes => { '/var/lib/postgresql/data' => {} },
        },
        "$base; mkdir -p etc tmp run var usr/share/doc/old; chmod 1777 tmp; ln -s /run var/run;"
            . " echo postgres:x:70:70::/: >etc/passwd; chmod 640 etc/passwd;"
            . ' mkdir -p opt; echo su >opt/su; chmod 4755 opt/su; echo x >usr/share/doc/old/a',
        "p=usr/lib/postgresql/$release; mkdir -p \$p/bin; echo server $version >\$p/bin/postgres;"
            . " chmod 755 \$p/bin/postgres; ln \$p/bin/postgres \$p/bin/postmaster;"
            . " $FATTR -n user.build -v $version \$p/bin/postgres;"
            . " mkdir -p etc/postgresql var/lib/postgresql/data usr/local/bin;"
            . " echo listen=$version >etc/postgresql/postgresql.conf;"
            . ' echo trust >etc/postgresql/pg_hba.conf; '
            . ' chown -R 70:70 var/lib/postgresql; chmod 700 var/lib/postgresql/data',
        ($version > 1 ? 'mkdir -p usr/share/doc; touch usr/share/doc/.wh.old' : 'mkdir srv'),
    );
}

sub server ($version) {
    my $site = $version == 3 ? 'etc/nginx/http.d' : 'etc/nginx/conf.d';
    return built(
        "server$version",
        {
            Cmd => ['nginx', '-g', 'daemon off;'], StopSignal => 'SIGQUIT',
            Env => ["NGINX_VERSION=1.2$version"],
            $version == 3 ? (Volumes => { '/usr/share/nginx/html' => {} }) : (),
        },
        'mkdir -p usr/sbin usr/lib/nginx/modules etc usr/share/nginx/html var/cache/nginx;'
            . " echo nginx $version >usr/sbin/nginx; chmod 755 usr/sbin/nginx;"
            . " $FATTR -n security.capability -v 0x0100000200040000000000000000000000000000"
            . ' usr/sbin/nginx;'
            . " for i in 1 2 3 4 5 6; do echo \$i $version >usr/lib/nginx/modules/m\$i.so; done;"
            . " rm usr/lib/nginx/modules/m$version.so;"
            . " echo welcome $version >usr/share/nginx/html/index.html;"
            . ' chown -R 101:101 var/cache/nginx',
        "mkdir -p $site var/log/nginx etc/nginx; ln -s /usr/lib/nginx/modules etc/nginx/modules;"
            . " echo main $version >etc/nginx/nginx.conf; echo site $version >$site/default.conf;"
            . ' ln -s /dev/stdout var/log/nginx/access.log; mkfifo -m 620 run.pipe;'
            . " $FACL -d -m u:101:rwx var/log/nginx",
    );
}

# In a folder of data.
my $DATA = <<'END';
for i in 1 2 3; do echo row $i >t$i; ln t$i index$i; done; truncate -s 1M sparse; echo end >>sparse
mkdir -p base/1/2/3/4/5 empty; mkfifo pipe; ln -s /nowhere dangling; ln -s loop loop
printf x >"$(printf 'a\377b\nc')"; echo secret >secret; chmod 0 secret; echo s >set
touch -d 1960-01-01 t1; touch -d 2100-01-01T01:02:03.123456789 base/1; FATTR -n user.a -v b t2
FACL -m u:5:rw t3
END

# In the root directory: what is kept is changed, and what is not.
my %CHANGES = (
    database => <<'END',
echo work_mem=1 >>etc/postgresql/postgresql.conf; rm etc/postgresql/pg_hba.conf
echo tool >usr/local/bin/backup; ln usr/local/bin/backup etc/hard
rm -r usr/share/doc/old; ln -s /tmp usr/share/doc/old; rm bin/sh; mkdir bin/sh; echo x >bin/sh/x
chmod 600 etc/passwd; chown 100005:100006 opt/su; touch -d 2001-01-01 lib/libc.so
FATTR -n user.x -v y opt
ln lib/libc.so lib/again; mkdir -p home/me/a/b; echo mine >home/me/a/b/c; mknod -m 600 null p
END
    server => <<'END',
echo gzip on >>etc/nginx/nginx.conf; echo mine >etc/nginx/conf.d/mine.conf
rm etc/nginx/conf.d/default.conf; ln -sf m5.so usr/lib/nginx/modules/m4.so
rm var/log/nginx/access.log; echo log >var/log/nginx/access.log; chmod 711 usr/sbin/nginx
rm run.pipe; mkdir run.pipe; echo x >run.pipe/x; mkdir -p usr/local/bin; echo t >usr/local/bin/t
FACL -m u:7:r usr/share/nginx/html/index.html; mv var/cache/nginx var/cache/other
END
);

# What the host's root has made belongs to the container's. That takes set-ID bits away.
sub change ($rootdir, $data, $script) {
    my $all = "cd $data; $DATA\ncd $rootdir; $script";
    $all =~ s/FATTR/$FATTR/g;
    $all =~ s/FACL/$FACL/g;
    shell(
        $rootdir,
        "$all\nfind . -user 0 -exec chown -h 100000:100000 {} +; chmod 6755 $data/set;"
            . ' test ! -e usr/local/bin/backup || chmod 4711 usr/local/bin/backup'
    );
    return;
}

sub succeeds ($what, @command) {
    my ($code, $out, $errors) = pve_oci(@command, @HERE);
    is($code, 0, $what) or diag("$out$errors");
    return;
}

sub is_rolled_back ($rootdir, $before, @options) {
    succeeds('rolled back', 'rollback', $rootdir, @options);
    is_same_tree(picture($rootdir), $before, 'the tree is exactly the one of before');
    return;
}

sub copy ($from, $to) {
    system("rm -rf '$to' && cp -a '$from' '$to'") == 0 or die "cp failed\n";
    return;
}

my @SERVICES = (
    [
        'database', \&database, 'var/lib/postgresql/data',
        [qw(/etc/postgresql /usr/local /home)]
    ],
    [
        'server', \&server, 'usr/share/nginx/html',
        [qw(/etc/nginx /usr/local /usr/share/nginx/html)]
    ],
);
my %trees;
for my $service (@SERVICES) {
    my ($name, $build, $data, $keep) = $service->@*;
    subtest $name => sub {
        my @image = (undef, map { $build->($_) } 1 .. 3);
        my $rootdir = fresh_rootfs($image[1], @HERE);
        change($rootdir, $data, $CHANGES{$name});
        my $first = picture($rootdir);
        my $rows = picture("$rootdir/$data");
        my @options = map { ('--keep', $_) } $keep->@*;
        my ($code, undef, $errors) = pve_oci('update', $rootdir, $image[2], @options, @HERE);
        is($code, 1, 'changes refuse the update');
        like(
            $errors, qr/^[ACD] .*^pve-oci: update: .*entries were changed/ms,
            'and are listed'
        );
        is_same_tree(picture($rootdir), $first, 'nothing has changed');
        my @second = ('update', $rootdir, $image[2], @options, '--discard-changes');
        succeeds('to version 2', @second);
        is_rolled_back($rootdir, $first);
        succeeds('to version 2 again', @second);
        is((pve_oci('diff', $rootdir, @HERE))[1], '', 'no difference');
        is_same_tree(picture("$rootdir/$data"), $rows, 'the data');
        shell("$rootdir/$data", 'echo more >>t2; rm t3; chown 100070 t2');
        $rows = picture("$rootdir/$data");
        my $second = picture($rootdir);
        succeeds('to version 3, which needs no word', 'update', $rootdir, $image[3]);
        is((pve_oci('diff', $rootdir, @HERE))[1], '', 'no difference');
        is_same_tree(picture("$rootdir/$data"), $rows, 'the data');
        like(
            slurp("$rootdir/usr/local/bin/" . ($name eq 'server' ? 't' : 'backup')), qr/\At/,
            'tool'
        );
        my $third = picture($rootdir);
        copy($rootdir, "$FOLDER/$name.rollback");
        is_rolled_back($rootdir, $second);
        copy($rootdir, "$FOLDER/$name.update");
        $trees{$name} = [$rootdir, $image[3], $data, $rows, $second, $third];
    };
}

# The picture without what an update writes anew, and the root directory's own time.
sub without_history ($picture) {
    return $picture =~ s/^.*\.pve\.oci\.(?:json|mtree\.zst).*\n//mgr =~ s/\A +d .*\n//r;
}

my $KILLS = $ENV{PVE_OCI_TEST_KILLS} // 0;
my $SEED = $ENV{PVE_OCI_TEST_SEED} // int(rand(1e9));
srand($SEED);
note("PVE_OCI_TEST_SEED=$SEED") if $KILLS;
my %outcomes;
for my $number (1 .. $KILLS) {
    my ($name) = (sort keys %trees)[$number % 2];
    my ($rootdir, $image, $data, $rows, $second, $third) = $trees{$name}->@*;
    my $verb = rand() < 0.5 ? 'update' : 'rollback';
    copy("$FOLDER/$name.$verb", $rootdir);
    my @command = ($verb, $rootdir, $verb eq 'update' ? $image : ());
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        setpgrp(0, 0);
        open($_, '>', '/dev/null') or POSIX::_exit(99) for \*STDOUT, \*STDERR;
        exec(root() . '/bin/pve-oci', @command, @HERE) or POSIX::_exit(98);
    }
    sleep(rand($verb eq 'update' ? 0.9 : 0.7));
    kill(KILL => rand() < 0.5 ? $pid : -$pid);
    waitpid($pid, 0);
    my ($code, $text, $errors);
    for (1 .. 100) {
        ($code, $text, $errors) = pve_oci(@command, @HERE);
        last if $errors !~ /in use|works on it/;
        sleep(0.1);
    }
    my $is_nothing = $code == 1 && $errors =~ /there is no earlier tree/;
    ok($code == 0 || $is_nothing, "$number: $name, $verb again") or diag($errors);
    my ($said) = $text =~ /^(an earlier call .*?)(?: when|:|;|$)/m;
    $outcomes{ "$verb: " . ($is_nothing ? 'nothing to do' : $said // 'done') }++;
    is_same_tree(picture("$rootdir/$data"), $rows, "$number: the data");
    is_same_tree(
        without_history(picture($rootdir)),
        without_history($verb eq 'update' ? $third : $second),
        "$number: the tree"
    );
    is((pve_oci('diff', $rootdir, @HERE))[1], '', "$number: no difference");
    last if !Test::More->builder->is_passing();
}
note("$outcomes{$_} times $_") for sort keys %outcomes;

done_testing();
