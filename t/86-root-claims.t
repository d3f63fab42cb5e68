#!/usr/bin/perl
# Two jobs never work on one tree. The real daemon refuses the second, by whatever path its root
# directory is named, and the error has the first one's number. Otherwise a job that fails would
# take back what another one is making.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use PVE::OCI;
use RealDaemon qw(in_child result_of);
use TestImage qw(entry write_image);
use TestSupport qw(home wait_until);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
read($random, my $noise, 2 << 20) or die "urandom: $!\n";
my $SLOW = write_image("$DIRECTORY/slow.tar", { Cmd => ['x'] }, entry('0', 'a', content => $noise));
my $SMALL = write_image("$DIRECTORY/small.tar", { Cmd => ['x'] }, entry('0', 'a', content => 'a'));

my $daemon = RealDaemon->start('--spares', 0);
my %OPTIONS = (socket => $daemon->{socket});

# The job's directory, one above, one below, one beside it that has the job's for a prefix.
my $above = "$DIRECTORY/above";
my $root = "$above/a root";
my $below = "$root/below/it";
make_path($below, "$above/a root2", map { "$DIRECTORY/bind-$_" } qw(same below above beside));
symlink($root, "$DIRECTORY/link") or die "symlink: $!\n";
symlink($below, "$DIRECTORY/link-below") or die "symlink: $!\n";
my @mounted;

END {
    local $?;
    system('umount', '-l', $_) for @mounted;
}

sub bind_mount ($from, $to) {
    system('mount', '--bind', $from, $to) == 0 or plan(skip_all => 'no bind mounts');
    push @mounted, $to;
    return;
}

bind_mount($root, "$DIRECTORY/bind-same");
bind_mount($below, "$DIRECTORY/bind-below");
bind_mount($above, "$DIRECTORY/bind-above");
bind_mount("$above/a root2", "$DIRECTORY/bind-beside");

sub slow_job ($path) {
    my $child =
        in_child(sub { PVE::OCI::extract_image($SLOW, $path, { %OPTIONS, bwlimit => 50 }) });
    ok(wait_until(sub { -e "$path/a" }), "a job in $path");
    return $child;
}

sub try_job ($path) {
    my $is_done = eval { PVE::OCI::extract_image($SMALL, $path, {%OPTIONS}); 1 };
    return $is_done ? 'done' : ($@->{name} // '') . ": $@";
}

my $child = slow_job($root);
for my $path ($root, map { "$DIRECTORY/$_" } qw(link bind-same)) {
    like(try_job($path), qr/RootDirectoryInUse.*extracts into it/, $path);
}
for my $path ($below, map { "$DIRECTORY/$_" } qw(link-below bind-below)) {
    like(try_job($path), qr/RootDirectoryInUse.*into a directory above it/, $path);
}
for my $path ($above, "$DIRECTORY/bind-above") {
    like(try_job($path), qr/RootDirectoryInUse.*into a directory below it/, $path);
}
is(try_job("$DIRECTORY/bind-beside"), 'done', 'another one is free');
kill KILL => $child->{pid};
result_of($child);
ok(wait_until(sub { !PVE::OCI::list_jobs({%OPTIONS})->@* }), 'the job is over');

# the other way round: the job's directory is the one that has another name
system('rm', '-f', "$root/a");
$child = slow_job("$DIRECTORY/bind-below");
like(try_job($root), qr/RootDirectoryInUse.*into a directory below it/, 'above a bind mount');
kill KILL => $child->{pid};
result_of($child);

done_testing();
