# Calls that do not match the interface io.pve.oci: the daemon and the embedded engine's caller
# refuse them by the same name and field, before anything is opened.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use File::Temp qw(tempdir);
use JSON;
use Test::More;

use PVE::OCI::Embedded;
use PVE::OCI::Error;
use PVE::OCI::JVM;
use PVE::OCI::Varlink;
use RealDaemon;
use TestImage qw(entry write_image);

plan(skip_all => 'needs root') if $> != 0;
plan(skip_all => "no embedded engine: $@") if !eval { PVE::OCI::JVM::settings(); 1 };

my $DIRECTORY = tempdir(CLEANUP => 1);
chmod(0755, $DIRECTORY) or die "chmod: $!\n";
my $IMAGE = write_image("$DIRECTORY/image.tar", { Cmd => ['/a'] }, entry('0', 'a'));
mkdir("$DIRECTORY/root") or die "mkdir: $!\n";

my $daemon = RealDaemon->start('--spares', 0);
my %CALLS = (
    daemon => sub ($method, @arguments) {
        return PVE::OCI::Varlink::call($daemon->{socket}, "io.pve.oci.$method", @arguments);
    },
    embedded => \&PVE::OCI::Embedded::call,
);

my $ARCHIVE = { archivePath => $IMAGE };
my $ROOT = { rootDirectory => "$DIRECTORY/root" };
my $BOTH = { $ARCHIVE->%*, $ROOT->%* };

my sub maps (@ranges) {
    return (uidMap => [@ranges], gidMap => [@ranges]);
}

# Method, its parameters, and the field that the error names.
my @CASES = (
    ['DetectArchive', {}, 'archivePath'],
    ['DetectArchive', { archivePath => 1 }, 'archivePath'],
    ['DetectArchive', { archivePath => [] }, 'archivePath'],
    ['DetectArchive', { $ARCHIVE->%*, archiveFileDescriptor => 0 }, 'archiveFileDescriptor'],
    ['DetectArchive', { archiveFileDescriptor => 7 }, 'archiveFileDescriptor'],
    ['DetectArchive', { archiveFileDescriptor => -1 }, 'archiveFileDescriptor'],
    ['DetectArchive', { archiveFileDescriptor => '0' }, 'archiveFileDescriptor'],
    ['DetectArchive', { $ARCHIVE->%*, selector => {} }, 'selector'],
    ['InspectImage', { $ARCHIVE->%*, selector => 'amd64' }, 'selector'],
    ['InspectImage', { $ARCHIVE->%*, selector => { tag => 'a' } }, 'selector.tag'],
    ['InspectImage', { $ARCHIVE->%*, selector => { variant => 8 } }, 'selector.variant'],
    ['VerifyImage', { $ARCHIVE->%*, verified => JSON::true }, 'verified'],
    ['ParseAndExtractImage', $ARCHIVE, 'rootDirectory'],
    [
        'ParseAndExtractImage', { $BOTH->%*, rootDirectoryFileDescriptor => 0 },
        'rootDirectoryFileDescriptor'
    ],
    ['ParseAndExtractImage', { $BOTH->%*, uidMap => {} }, 'uidMap'],
    ['ParseAndExtractImage', { $BOTH->%*, uidMap => '0 100000 65536' }, 'uidMap'],
    ['ParseAndExtractImage', { $BOTH->%*, maps(['u', 0, 100_000, 65_536]) }, 'uidMap[0]'],
    [
        'ParseAndExtractImage', { $BOTH->%*, maps({ inside => 0, count => 1 }) },
        'uidMap[0].outside'
    ],
    [
        'ParseAndExtractImage',
        { $BOTH->%*, maps({ inside => '0', outside => 100_000, count => 65_536 }) },
        'uidMap[0].inside'
    ],
    ['ParseAndExtractImage', { $BOTH->%*, options => [] }, 'options'],
    [
        'ParseAndExtractImage', { $BOTH->%*, options => { maximumSpeed => 1 } },
        'options.maximumSpeed'
    ],
    [
        'ParseAndExtractImage', { $BOTH->%*, options => { maximumSize => '1' } },
        'options.maximumSize'
    ],
    ['ParseAndExtractImage', { $BOTH->%*, options => { record => 1 } }, 'options.record'],
    (
        map { ['ParseAndExtractImage', { $BOTH->%*, options => { $_ => -1 } }, "options.$_"] }
            qw(maximumSize maximumEntries bandwidthLimit)
    ),
    ['ParseAndExtractImage', { $BOTH->%*, discardChanges => JSON::true }, 'discardChanges'],
    ['CompareRootDirectory', { $ROOT->%*, keep => '/data' }, 'keep'],
    ['CompareRootDirectory', { $ROOT->%*, keep => [undef] }, 'keep[0]'],
    ['StageUpdate', { $BOTH->%*, discardChanges => 'yes' }, 'discardChanges'],
    ['ApplyUpdate', $ROOT, 'step'],
    ['ApplyUpdate', { $ROOT->%*, step => 'commit' }, 'step'],
);

# Of the right type, but not allowed: method, parameters, and the message.
my @REFUSED = (
    ['DetectArchive', { archivePath => 'a' }, 'archivePath is not an absolute path: a'],
    ['DetectArchive', { archivePath => '' }, 'archivePath is not an absolute path:'],
    ['DetectArchive', { archivePath => "/a\0" }, 'archivePath is not an absolute path: /a\x00'],
    [
        'ApplyUpdate',
        { step => 'finish', rootDirectory => '../a' },
        'rootDirectory is not an absolute path: ../a'
    ],
    [
        'ParseAndExtractImage',
        { $BOTH->%*, maps({ inside => -1, outside => 100_000, count => 2 }) },
        'invalid ID map: range \'-1 100000 2\': ID out of range'
    ],
    [
        'ParseAndExtractImage',
        { $BOTH->%*, maps({ inside => 0, outside => -1, count => 2 }) },
        'invalid ID map: range \'0 -1 2\': ID out of range'
    ],
);

for my $engine (sort keys %CALLS) {
    subtest $engine => sub {
        for my $case (@REFUSED) {
            my ($method, $parameters, $message) = $case->@*;
            my $is_done = eval { $CALLS{$engine}->($method, $parameters); 1 };
            my $error = $is_done ? {} : PVE::OCI::Error::caught($@) // { message => "$@" };
            is($error->{message}, $message, "$method: $message");
            is($error->{name}, 'io.pve.oci.InvalidArgument', '... by name');
        }
        for my $case (@CASES) {
            my ($method, $parameters, $field) = $case->@*;
            my @warnings;
            local $SIG{__WARN__} = sub ($warning) { push @warnings, $warning };
            my $is_done = eval { $CALLS{$engine}->($method, $parameters); 1 };
            my $error = $is_done ? {} : PVE::OCI::Error::caught($@) // { name => "$@" };
            is(
                join(' ', $error->{name} // 'done', $error->{parameters}->{parameter} // ''),
                "org.varlink.service.InvalidParameter $field",
                "$method: $field"
            );
            is_deeply(\@warnings, [], '... and no warning');
        }
        my $error =
            eval { $CALLS{$engine}->('ExtractImage', $BOTH); 1 }
            ? {}
            : PVE::OCI::Error::caught($@) // { name => "$@" };
        is($error->{name}, 'org.varlink.service.MethodNotFound', 'a method that there is not');
    };
}

done_testing();
