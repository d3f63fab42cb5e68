#!/usr/bin/perl
# What a worker that was taken over can do to the archive: the real daemon, and the embedded engine,
# hand it over, and t/lib/taken-over-worker.py, without any sandbox, tries to change it.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Fcntl qw(O_APPEND O_RDONLY O_RDWR O_WRONLY F_GETFL SEEK_CUR);
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;

use PVE::OCI;
use PVE::OCI::Embedded;
use PVE::OCI::JVM;
use RealDaemon;
use TestImage qw(entry write_image);
use TestSupport qw(home);

use constant O_PATH => 0x200000;

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => 'needs make') if !-x home() . '/native/pve-oci-worker';

my $FAKE = "$FindBin::Bin/lib/taken-over-worker.py";
my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $ATTEMPTS = $ENV{PVE_OCI_TEST_ATTEMPTS} = "$DIRECTORY/attempts";
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/a'] }, entry('0', 'a'));
my $LAYOUT = "$DIRECTORY/layout";
mkdir($LAYOUT) or die "mkdir: $!\n";
system('tar', '-xf', $IMAGE, '-C', $LAYOUT) == 0 or die "tar failed\n";

# The embedded engine's child is the fake as well; it gets the connection as the engine does.
PVE::OCI::JVM::load();
no warnings qw(redefine); ## no critic (ProhibitNoWarnings): a test's stand-in
local *PVE::OCI::JVM::start = sub ($settings, $connection, $log, $owner) {
    my $pid = fork() // return -1;
    return $pid if $pid;
    POSIX::dup2($connection, 0);
    exec($FAKE) or POSIX::_exit(98);
};
use warnings;

my $daemon = RealDaemon->start('--launcher', $FAKE, '--spares', 0);
my $serial = 0;

my sub status_of ($path) {
    my @status = stat($path) or die "stat $path: $!\n";
    return [@status[2, 4, 5, 9]];
}

# What the worker could do with the archive of this call; undef when it never got it.
my sub attempts ($code) {
    unlink($ATTEMPTS);
    eval { $code->() };
    open(my $file, '<', $ATTEMPTS) or return;
    my %attempt = map { /\A(.+): (\S+)\n\z/ ? ($1 => $2) : () } <$file>;
    return \%attempt;
}

my sub cannot_change ($name, $path, $code) {
    my $before = status_of($path);
    my $attempt = attempts($code);
    ok($attempt, "$name: it gets the archive") or return diag($daemon->log_text());
    is($attempt->{'access mode'}, O_RDONLY, "$name: for reading");
    my $type = -d $path ? 'EISDIR' : 'EBADF';
    my %refused = (
        write => qr/\AE(?:BADF|ISDIR)\z/, create => qr/\AE(?:ROFS|NOTDIR)\z/,
        'open ..' => qr/\AE(?:NOENT|NOTDIR)\z/,
    );
    # an O_PATH descriptor of a directory is refused sooner, as EBADF, than a read-only mount would
    like($attempt->{$_}, $refused{$_} // qr/\AE(?:ROFS|BADF)\z/, "$name: no $_")
        for qw(chmod chown setxattr utime write create), 'open ..';
    is_deeply(status_of($path), $before, "$name: it is as it was");
    return;
}

my sub root() {
    my $path = "$DIRECTORY/root" . $serial++;
    mkdir($path) or die "mkdir: $!\n";
    return $path;
}

my sub opened ($path, $flags) {
    sysopen(my $handle, $path, $flags) or die "open $path: $!\n";
    return $handle;
}

for my $mode (qw(daemon embedded)) {
    my %options = (mode => $mode, $mode eq 'daemon' ? (socket => $daemon->{socket}) : ());
    subtest $mode => sub {
        for my $archive ($IMAGE, $LAYOUT) {
            my $kind = -d $archive ? 'directory' : 'file';
            cannot_change(
                "$kind, privileged",
                $archive,
                sub { PVE::OCI::extract_image($archive, root(), { %options, id_map => [] }) }
            );
            cannot_change(
                "$kind, with a map", $archive,
                sub { PVE::OCI::extract_image($archive, root(), \%options) }
            );
            cannot_change(
                "$kind, detect", $archive,
                sub { PVE::OCI::detect_archive($archive, \%options) }
            );
            cannot_change(
                "$kind, descriptor", $archive,
                sub { PVE::OCI::detect_archive(opened($archive, O_RDONLY), \%options) }
            );
        }
        my $handle = opened($IMAGE, O_RDWR);
        cannot_change(
            'descriptor for reading and writing',
            $IMAGE, sub { PVE::OCI::extract_image($handle, root(), { %options, id_map => [] }) }
        );
        is(sysseek($handle, 0, SEEK_CUR), '0 but true', 'the position is the caller\'s own');
        is(fcntl($handle, F_GETFL, 0) & O_APPEND, 0, 'so are the flags');
        for my $flags (O_WRONLY, O_PATH) {
            my $what = $flags == O_PATH ? 'O_PATH' : 'writing only';
            is(
                attempts(sub {
                    PVE::OCI::detect_archive(opened($IMAGE, $flags), \%options);
                }),
                undef,
                "a descriptor for $what is refused"
            );
            like($@, qr/\Aarchive is not open for reading\n\z/, "$what: it is said");
        }
    };
}

done_testing();
