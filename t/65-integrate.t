# pve-oci integrate, on modules that are made for it: what is in force, what an update of
# pve-container does, what is refused and that everything is put back.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON;
use Test::More;

use FakeNode qw(install_file install_ours missing program read_text);
use TestSupport qw(root);

if (my $missing = missing()) {
    plan(skip_all => $missing);
}

my $PROGRAM = root() . '/bin/pve-oci';
my $PERL5 = $FakeNode::PERL5;
my $PATCHES = root() . '/perl/patches';

# Two modules that say what they are; $version stands for all that an update changes.
sub install_pve ($version, $line = 'return "original";') {
    install_file(
        "$PERL5/PVE/LXC.pm",
        "package PVE::LXC;\nour \$VERSION = '$version';\nuse PVE::LXC::Create;\n1;\n"
    );
    install_file("$PERL5/PVE/LXC/Create.pm", <<"EOM");
package PVE::LXC::Create;
use strict;
use warnings;
# version $version

sub restore {
    $line
}

1;
EOM
    return;
}

sub write_patch ($name, $from, $to) {
    install_file("$PATCHES/pve-container-$name.patch", <<"EOM");
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
Subject: [PATCH 1/2] create

---
diff --git a/debian/control b/debian/control
--- a/debian/control
+++ b/debian/control
\@\@ -1 +1,2 \@\@
 Source: x
+Depends: y
diff --git a/src/PVE/LXC/Create.pm b/src/PVE/LXC/Create.pm
--- a/src/PVE/LXC/Create.pm
+++ b/src/PVE/LXC/Create.pm
\@\@ -5,5 +5,5 \@\@
 
 sub restore {
-    $from
+    $to
 }
 
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
Subject: [PATCH 2/2] lxc

---
diff --git a/src/PVE/LXC.pm b/src/PVE/LXC.pm
--- a/src/PVE/LXC.pm
+++ b/src/PVE/LXC.pm
\@\@ -3,2 +3,3 \@\@
 use PVE::LXC::Create;
+our \$PATCHED = 1;
 1;
EOM
    return;
}

sub integrate (@options) { return program($PROGRAM, 'integrate', @options); }

# What a program of the node gets: "restore() version patched".
sub in_force() {
    my $code = 'require PVE::LXC; no warnings; print PVE::LXC::Create::restore(), '
        . '" $PVE::LXC::VERSION ", $PVE::LXC::PATCHED // 0';
    return (program('/usr/bin/perl', '-T', '-e', $code))[1];
}

sub files_below ($directory) {
    my @files = split(/\n/, (program('find', $directory, '-type', 'f'))[1]);
    return join(' ', sort @files);
}

unlink(glob("$PATCHES/*"));
install_ours();
my $BEFORE = files_below('/etc/perl');

subtest 'a node without pve-container' => sub {
    my ($code, $output) = integrate();
    is($code, 1, 'refused');
    like($output, qr/\Apve-oci: integrate: pve-container is not installed: [^\n]+\n\z/, 'told');
    is((integrate('--status'))[0], 1, 'status');
    is((integrate('--refresh'))[0], 0, 'nothing to refresh is no error');
};

install_pve('1');
write_patch('1.0', 'return "original";', 'return "patched";');
write_patch('2.0', 'return "of another version";', 'return "patched";');

subtest 'is in force, without a change to a file of pve-container' => sub {
    my @originals = map { read_text("$PERL5/PVE/$_") } qw(LXC.pm LXC/Create.pm);
    my ($code, $output) = integrate();
    is($code, 0, 'done') or diag($output);
    is(in_force(), 'patched 1 1', 'in force, both mails of the series');
    is_deeply(
        [map { read_text("$PERL5/PVE/$_") } qw(LXC.pm LXC/Create.pm)], \@originals,
        'the originals are as they were',
    );
    ($code, $output) = integrate('--status');
    is($code, 0, 'status');
    like(
        $output, qr/^integrated +yes\n.*pve-container-1\.0\.patch/ms,
        '... says by which patch'
    );
    ($code, $output) = integrate('--status', '--json');
    is(decode_json($output)->{mode}, 'patch', '... also as JSON');
    is((integrate())[0], 0, 'once more is no error');
    is(in_force(), 'patched 1 1', '... and changes nothing');
};

subtest 'an update of pve-container' => sub {
    install_pve('2');
    is(
        in_force(), 'original 2 0',
        'from then on the new originals are in force, not a mixture'
    );
    is((integrate('--status'))[0], 1, 'status says so');
    my ($code, $output) = integrate('--refresh');
    is($code, 0, 'refreshed') or diag($output);
    is(in_force(), 'patched 2 1', 'the new version, patched');
    install_file("$PERL5/PVE/LXC.pm", read_text("$PERL5/PVE/LXC.pm"));
    is(in_force(), 'original 2 0', 'one file of two is enough');
    integrate('--refresh');
};

subtest 'an update to which no patch applies' => sub {
    install_pve('3', 'return "rewritten";');
    my ($code, $output) = integrate('--refresh');
    is($code, 1, 'refused');
    like($output, qr/no patch for this pve-container \(version [^)]+\); there are: \S/, 'told');
    is(in_force(), 'rewritten 3 0', 'the originals are in force');
    is(files_below('/etc/perl'), $BEFORE, '/etc/perl is as it was');
    ($code, $output) = integrate('--status');
    like($output, qr/^integrated +no\n.*^error +no patch/ms, 'status has the reason');
    install_pve('4');
    is((integrate('--refresh'))[0], 0, 'the next update is tried again');
    is(in_force(), 'patched 4 1', '... in force');
};

subtest 'fuzz is not enough' => sub {
    install_pve('5');
    my $text = read_text("$PERL5/PVE/LXC/Create.pm") =~ s/sub restore/sub  restore/r;
    install_file("$PERL5/PVE/LXC/Create.pm", $text);
    is((integrate('--refresh'))[0], 1, 'refused');
    is(in_force(), 'original 5 0', 'the originals are in force');
};

subtest 'a patched module that does not compile' => sub {
    integrate('--remove');
    install_pve('6');
    write_patch('1.0', 'return "original";', 'return $undeclared;');
    my ($code, $output) = integrate();
    is($code, 1, 'refused');
    like($output, qr{PVE/LXC\S*\.pm does not compile: [^\n]*undeclared[^\n]*\n\z}, 'told');
    is(in_force(), 'original 6 0', 'nothing was switched on');
    ok(!-e '/var/lib/pve-oci/integration', 'nothing is left');
    write_patch('1.0', 'return "original";', 'return "patched";');
};

subtest 'a file of somebody else in the place of ours' => sub {
    install_file('/etc/perl/PVE/LXC.pm', "# mine\n1;\n");
    my ($code, $output) = integrate();
    is($code, 1, 'refused');
    like($output, qr{'/etc/perl/PVE/LXC\.pm' is there}, 'told');
    is(read_text('/etc/perl/PVE/LXC.pm'), "# mine\n1;\n", 'it stays');
    unlink('/etc/perl/PVE/LXC.pm');
    rmdir('/etc/perl/PVE');
};

subtest 'pve-oci removed without --remove' => sub {
    is((integrate())[0], 0, 'integrated');
    is(in_force(), 'patched 6 1', 'in force');
    unlink("$PERL5/PVE/LXC/OCI.pm") or die $!;
    is(in_force(), 'original 6 0', 'without our modules the originals are in force');
    install_ours();
    is(in_force(), 'patched 6 1', 'with them the patched ones');
};

subtest 'an update of pve-oci' => sub {
    write_patch('1.0', 'return "original";', 'return "patched anew";');
    is(in_force(), 'patched 6 1', 'the patch of before is in force');
    is((integrate('--refresh'))[0], 0, 'refreshed');
    is(in_force(), 'patched anew 6 1', 'the new one');
};

subtest 'removed' => sub {
    is((integrate('--remove'))[0], 0, 'done');
    is(in_force(), 'original 6 0', 'the originals are in force');
    is(files_below('/etc/perl'), $BEFORE, '/etc/perl is as it was');
    ok(!-e '/etc/perl/PVE', '... without a directory of ours');
    ok(!-e '/var/lib/pve-oci', 'nothing is left');
    is((integrate('--remove'))[0], 0, 'once more is no error');
    is((integrate('--refresh'))[0], 0, 'nor is a trigger');
    is(in_force(), 'original 6 0', '... which does not bring it back');
    for my $action (qw(--refresh --remove)) {
        my $command = 'mount -t tmpfs test /run && exec "$@"';
        my ($code, $output) = program(
            qw(unshare -m sh -c),
            $command, 'sh', $PROGRAM, 'integrate', $action, '--quiet'
        );
        is($code, 0, "$action without /run/lock, as in a chroot");
        unlike($output, qr/cannot/, 'and without a complaint');
    }
};

subtest 'engine only' => sub {
    my ($code, $output) = integrate('--engine-only');
    is($code, 1, 'refused where pve-container has no engine');
    like($output, qr/does not extract OCI images itself/, 'told');
    install_file("$PERL5/PVE/RS/OCI.pm", "package PVE::RS::OCI;\nsub whose { 'theirs' }\n1;\n");
    is((integrate('--engine-only'))[0], 0, 'done');
    my $code_of = 'require PVE::RS::OCI; print PVE::RS::OCI->can("whose") ? "theirs" : "ours"';
    is((program('/usr/bin/perl', '-T', '-e', $code_of))[1], 'ours', 'in force');
    like((integrate('--status'))[1], qr/engine only/, 'status');
    is(in_force(), 'original 6 0', 'nothing else is changed');
    is((integrate())[0], 0, 'the whole flow instead');
    is((program('/usr/bin/perl', '-T', '-e', $code_of))[1], 'theirs', '... replaces it');
    is(in_force(), 'patched anew 6 1', '... by the patch');
    integrate('--remove');
};

is((integrate('--status', '--remove'))[0], 2, 'two things at once are wrong usage');

done_testing();
