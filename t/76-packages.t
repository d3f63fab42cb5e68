#!/usr/bin/perl
# debian/build where no chroot can be made, and where the chroot is on a file system without
# devices, as /tmp is in Debian 13. What it builds is tested by make check-packages.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use TestSupport qw(root);

my $DIRECTORY = tempdir(CLEANUP => 1);
mkdir("$DIRECTORY/$_") or die "mkdir: $!\n" for qw(bin debian);
for my $name (qw(build changelog control)) {
    system('cp', root() . "/debian/$name", "$DIRECTORY/debian") == 0 or die "cp: $name\n";
}
# as mmdebstrap leaves it when a mirror cannot be reached: an empty file
open(my $file, '>', "$DIRECTORY/bin/mmdebstrap") or die "open: $!\n";
print {$file} qq{#!/bin/sh\nfor last; do :; done\n: >"\$last"\nexit 25\n};
close($file) or die "close: $!\n";
chmod(0755, "$DIRECTORY/bin/mmdebstrap") or die "chmod: $!\n";

my $said = qx(cd $DIRECTORY && PATH=$DIRECTORY/bin:\$PATH debian/build trixie 2>&1);
is("$?: $said", '6400: ', 'it ends with the status of mmdebstrap');
is_deeply([glob("$DIRECTORY/target/chroot/*.tar")], [], 'and the next time makes a chroot');

subtest 'what is installed is in the source package, or made by its build' => sub {
    open(my $handle, '<', root() . '/Makefile') or die "open: $!\n";
    my ($recipe) = do { local $/ = undef; <$handle> }
        =~ /^install:\n((?:\t.*\n)+)/m;
    close($handle) or die "close: $!\n";
    my %taken = map { $_ => 1 } $recipe =~ m{\$\(T\)/([^/\s]+)}g;
    is_deeply([sort keys %taken], [qw(lib man perl pve-oci.jar)], 'of the directory target');
};

# A chroot with busybox, in which the build writes to a device.
sub write_program ($path, $text) {
    make_path(dirname($path));
    open(my $handle, '>', $path) or die "open $path: $!\n";
    print {$handle} $text;
    close($handle) or die "close $path: $!\n";
    chmod(0755, $path) or die "chmod: $!\n";
    return;
}

subtest 'a file system without devices' => sub {
    my ($busybox) = grep { -x } qw(/bin/busybox /usr/bin/busybox);
    plan(skip_all => 'needs root and busybox-static') if $> != 0 || !defined($busybox);
    my $beside = tempdir(CLEANUP => 1);
    my ($chroot, $nodev) = ("$beside/chroot", "$beside/nodev");
    make_path("$DIRECTORY/target/lib", $nodev, map { "$chroot/$_" } qw(bin dev proc usr/bin));
    system('mknod', "$chroot/dev/null", 'c', 1, 3) == 0 or plan(skip_all => 'needs mknod');
    system('cp', $busybox, "$chroot/bin/busybox") == 0 or die "cp: $?\n";
    symlink('busybox', "$chroot/bin/$_") or die "symlink: $!\n" for qw(sh cat env);
    symlink('../../bin/busybox', "$chroot/usr/bin/env") or die "symlink: $!\n";
    write_program("$chroot/usr/bin/lintian", "#!/bin/sh\n");
    write_program("$chroot/usr/bin/dpkg-buildpackage", <<'EOM');
#!/bin/sh
echo x > /dev/null && cat /dev/null && echo built > ../pve-oci.deb && echo > ../pve-oci.changes
EOM
    write_program("$DIRECTORY/bin/mmdebstrap", <<"EOM");
#!/bin/sh
for last; do :; done
tar -C $chroot -cf "\$last" .
EOM
    write_program("$DIRECTORY/target/pve-oci.jar", '');
    my $command = "mount -t tmpfs -o nodev,nosuid test $nodev && cd $DIRECTORY"
        . " && TMPDIR=$nodev PATH=$DIRECTORY/bin:\$PATH debian/build trixie 2>&1";
    $said = qx(unshare --mount sh -c '$command');
    is($?, 0, 'packages are built') or diag($said);
    like($said, qr{^[0-9a-f]{64}  \./pve-oci\.deb$}m, 'and listed');
};

done_testing();
