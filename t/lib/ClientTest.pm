# What the tests of PVE::OCI share: an archive, a root directory, and an extraction by a daemon that
# plays a script.
package ClientTest;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);

use FakeDaemon;
use PVE::OCI;

our @EXPORT_OK = qw($ARCHIVE $CONFIG $DIRECTORY $DONE $RESULT $ROOTFS extract);

our $DIRECTORY = tempdir(CLEANUP => 1);
our $ARCHIVE = "$DIRECTORY/image.tar";
our $ROOTFS = "$DIRECTORY/rootfs";
open(my $file, '>', $ARCHIVE) or die $!;
close($file);
mkdir($ROOTFS) or die $!;

# The reply of a daemon that has extracted an image.
our $RESULT = {
    manifestDigest => 'sha256:' . 'a' x 64, configDigest => 'sha256:' . 'b' x 64,
    platform => { architecture => 'amd64', os => 'linux' }, entriesWritten => 3,
    bytesWritten => 4096, whiteoutsApplied => 0,
    warnings => [], warningsCount => 0,
};
our $CONFIG = { Cmd => ['sh'], Env => ['PATH=/bin'] };
our $DONE = ['reply', { parameters => { result => $RESULT, config => $CONFIG } }];

# Returns the daemon, the error, and what parse_and_extract_image returned.
sub extract ($script, $options = {}, $archive = $ARCHIVE, $rootdir = $ROOTFS) {
    my $daemon = FakeDaemon->start($script);
    my @got = eval {
        PVE::OCI::parse_and_extract_image(
            $archive, $rootdir, undef, { socket => $daemon->socket(), $options->%* },
        );
    };
    return ($daemon, $@, @got);
}

1;
