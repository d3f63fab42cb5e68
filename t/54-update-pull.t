#!/usr/bin/perl
# pve-oci outdated and update --pull, with a real registry on loopback: a root file system from a
# pulled image, which is up to date until its tag leads to another one.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::OCI::JVM;
use TestRegistry;
use TestUpdate qw(application pve_oci slurp write_file);

plan(skip_all => 'needs root') if $> != 0;
my $WHY = TestRegistry::unavailable();
plan(skip_all => $WHY) if defined($WHY);
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $FOLDER = tempdir(CLEANUP => 1);
chmod(0755, $FOLDER) or die "chmod: $!\n";
my @IMAGE = (undef, map { application("$FOLDER/v$_.tar", $_) } 1, 2);
my $REGISTRY = TestRegistry->start();
my @LOGIN = ('--authfile', $REGISTRY->authfile());
my $NAME = $REGISTRY->address() . '/team/app:stable';
my $ROOTDIR = "$FOLDER/rootfs";

sub push_version ($version) {
    $REGISTRY->push_image("oci-archive:$IMAGE[$version]", 'team/app:stable');
    return;
}

sub state_of_image (@options) {
    my ($code, $out, $errors) = pve_oci('outdated', $ROOTDIR, '--json', @LOGIN, @options);
    is($code, 0, 'outdated') or diag($errors);
    return decode_json($out)->{images}->[0];
}

push_version(1);
is((pve_oci('pull', $NAME, "$FOLDER/pulled.tar", '--embedded', @LOGIN))[0], 0, 'pulled');
mkdir($ROOTDIR) or die $!;
my @extract = ('extract', '--record', "$FOLDER/pulled.tar", $ROOTDIR, '--embedded');
is((pve_oci(@extract))[0], 0, 'extracted');

subtest 'up to date' => sub {
    is(state_of_image()->{state}, 'up to date', 'state');
    my ($code, $out, $errors) = pve_oci('update', $ROOTDIR, '--pull', '--embedded', @LOGIN);
    is($code, 0, 'exit code') or diag($errors);
    like($out, qr/^up to date$/m, 'nothing is done');
};

subtest 'a newer image' => sub {
    push_version(2);
    write_file("$ROOTDIR/data/mine", 'mine');
    my $image = state_of_image();
    is($image->{state}, 'newer image', 'state');
    is($image->{reference}, $NAME, 'the name');
    isnt($image->{recorded}, $image->{current}, 'digests');
    my ($code, $out, $errors) = pve_oci('update', $ROOTDIR, '--pull', '--embedded', @LOGIN);
    is($code, 0, 'updated') or diag($errors);
    is(slurp("$ROOTDIR/bin/app"), "application 2\n", 'the new program');
    is(slurp("$ROOTDIR/data/mine"), 'mine', 'data');
    is(state_of_image()->{state}, 'up to date', 'now it is up to date');
    is_deeply([glob('/var/tmp/pve-oci-update-*')], [], 'no archive is left');
};

subtest 'failures change nothing' => sub {
    push_version(1);
    $REGISTRY->set('cut', 0);
    my ($code, undef, $errors) = pve_oci('update', $ROOTDIR, '--pull', '--embedded');
    is($code, 1, 'without a login');
    like($errors, qr/unauthorized|authentication required/, 'message');
    my ($none) = pve_oci('outdated', $ROOTDIR);
    is($none, 0, 'outdated goes on');
    like(
        (pve_oci('outdated', $ROOTDIR))[1], qr/unknown: .*(?:unauthorized|authentication)/,
        'and says why'
    );
    ($code, undef, $errors) =
        pve_oci('update', $ROOTDIR, '--pull', "$NAME-none", '--embedded', @LOGIN);
    is($code, 1, 'a tag that is not there');
    is(slurp("$ROOTDIR/bin/app"), "application 2\n", 'the same program');
    unlink("$ROOTDIR/.pve.oci.json");
    ($code, undef, $errors) = pve_oci('update', $ROOTDIR, '--pull', '--embedded', @LOGIN);
    is($code, 1, 'no recorded name');
    like($errors, qr/not recorded from which registry.*name it/, 'message');
};

done_testing();
