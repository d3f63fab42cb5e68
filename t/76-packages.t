#!/usr/bin/perl
# debian/build where no chroot can be made. What it builds is tested by make check-packages.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

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

done_testing();
