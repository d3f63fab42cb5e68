#!/usr/bin/perl
# Journals of an update that a container's root has planted: each step refuses them with a message
# that says what to do, or works inside of the root file system.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use JSON;
use Test::More;

use PVE::OCI;
use PVE::OCI::RootUpdate;
use PVE::OCI::Session;
use TestUpdate qw(fingerprint shell slurp write_file);
use UpdateEdges qw(@IMAGE copy_of prepare rootfs);

my $FOLDER = prepare();
my $VICTIM = "$FOLDER/victim";
mkdir($VICTIM) or die "mkdir: $!\n";
shell($VICTIM, 'mkdir new old; touch new/a old/b');
my $OUTSIDE = fingerprint($FOLDER);
my $PRISTINE = rootfs();
my %ATTRIBUTES = (mode => 0755, uid => 0, gid => 0, seconds => 0, nanos => 0, extended => {});

# All steps share an engine, as those of one update do.
my %OPTIONS = (
    mode => 'embedded', session => PVE::OCI::Session->new(),
    id_map => [map { [$_, '0', '100000', '65536'] } qw(u g)],
);

sub directories (%changes) {
    my %both = map { $_ => { %ATTRIBUTES, %changes } } qw(before after);
    return [{ path => '', %both }];
}

sub below (@paths) {
    my %both = map { $_ => \%ATTRIBUTES } qw(before after);
    return [map { { path => $_, %both } } '', @paths];
}

# [what it is, what else is planted in the folder, the journal's fields or undef for none]
my @PLANTED = (
    [
        'a name of an attribute that is too long',
        '', { directories => directories(extended => { 'x' x 5000 => 'y' }) }
    ],
    [
        'an attribute that only the host may set',
        '', { directories => directories(extended => { 'trusted.x' => 'y' }) }
    ],
    ['an owner that is not in the map', '', { directories => directories(uid => 99_999_999) }],
    ['an impossible time', '', { directories => directories(nanos => -5) }],
    ['another version', '', { version => 2 }],
    ['a directory that is a file', '', { directories => below('bin/app') }],
    ['a directory without those above it', '', { directories => below('a/' x 1000 . 'b') }],
    [
        'a directory that is a link in the new tree',
        "ln -s $VICTIM new/bin; ln -s $VICTIM old/bin", { directories => below('bin') }
    ],
    ['a kept path that is absolute', '', { kept => ['/etc'] }],
    ['a kept path that is its own', '', { kept => ['.pve.oci.update'] }],
    ['a directory that is its own', '', { directories => below('.pve.oci.update') }],
    ['trees that are links', "rmdir new old; ln -s $VICTIM new; ln -s $VICTIM old", {}],
    ['trees that are files', 'rmdir new old; touch new old', {}],
    [
        'a socket', 'perl -MSocket -e "socket(S,1,1,0);bind(S,pack_sockaddr_un(q(journal)))"',
        undef
    ],
    ['a device', 'mknod journal c 1 3', undef],
    ['a folder where the next one is written', 'mkdir -p journal.new/x', { phase => 'staged' }],
);

sub step ($name, $rootdir) {
    return PVE::OCI::RootUpdate::stage_update(
        $IMAGE[2], $rootdir,
        { %OPTIONS, discard_changes => 1 }
    ) if $name eq 'stage';
    return PVE::OCI::RootUpdate::apply_update($name, $rootdir, \%OPTIONS);
}

for my $planted (@PLANTED) {
    my ($what, $command, $fields) = $planted->@*;
    subtest $what => sub {
        my $rootdir = copy_of($PRISTINE);
        mkdir("$rootdir/.pve.oci.update", 0700) or die "mkdir: $!\n";
        shell($rootdir, 'cd .pve.oci.update; mkdir -m 700 new old');
        shell("$rootdir/.pve.oci.update", $command) if $command;
        my $journal = {
            version => 1, phase => 'in', kept => [], directories => directories(),
            ($fields // {})->%*
        };
        write_file("$rootdir/.pve.oci.update/journal", encode_json($journal)) if $fields;
        shell($rootdir, 'find . -user 0 -exec chown -h 100000:100000 {} +');
        my @said;
        for my $name (qw(switch abandon stage rollBack)) {
            next if eval { step($name, $rootdir); 1 };
            my $error = PVE::OCI::Error::caught($@) // die $@;
            my $message = "$name: $error->{name}: $error->{message}";
            push @said, $message;
            unlike($message, qr/WorkerFailed|SystemError/, "$name has an error of its own");
        }
        like("@said", qr/look at the folder|correct them there/, 'what to do is said')
            or diag(explain(\@said));
        is_deeply(fingerprint($FOLDER), $OUTSIDE, 'nothing outside was touched');
        my ($place) = grep { -d "$_/bin" } $rootdir, glob("$rootdir/.pve.oci.update/{new,old}");
        like(slurp("$place/bin/app"), qr/\Aapplication 1\n\z/, 'the system is there');
    };
}

$OPTIONS{session}->end();
done_testing();
