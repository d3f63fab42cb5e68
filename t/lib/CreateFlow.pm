# What the tests of PVE::LXC::OCI share: archives, root file systems, and the restoring of an image
# by a daemon that plays a script, with stand-ins for PVE's modules.
package CreateFlow;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use Test::More;

use FakeDaemon;
use PVE::LXC::OCI;
use PVE::LXC::OCI::Init;

our @EXPORT_OK = qw(
    $DIGEST $DIRECTORY $STORAGE extracted lxc_value new_rootfs restore slurp write_file
);

our $DIRECTORY = tempdir(CLEANUP => 1);
our $STORAGE = {
    ids => {
        local => { type => 'dir', path => $DIRECTORY }, backup => { type => 'pbs' },
        external => { type => 'x', features => { 'backup-provider' => 1 } },
    },
};
our $DIGEST = 'sha256:' . 'a' x 64;

# Here the executable is not run.
for my $arch (qw(amd64 arm64)) {
    mkdir($_) for "$DIRECTORY/init", "$DIRECTORY/init/$arch";
    open(my $handle, '>', "$DIRECTORY/init/$arch/pve.init") or die $!;
    print {$handle} "executable of $arch";
    close($handle) or die $!;
}
@PVE::LXC::OCI::Init::DIRECTORIES = ("$DIRECTORY/init");

sub write_tar ($name) {
    my $header = pack(
        'a100 a8 a8 a8 a12 a12 a8 a1 a100', 'oci-layout', '644', '0', '0', '0', '0', ' ' x 8,
        '0', ''
    );
    $header .= "\0" x (512 - length($header));
    substr($header, 148, 8) = sprintf("%06o\0 ", unpack('%32C*', $header));
    write_file($name, $header . "\0" x 1024);
}

sub write_file ($name, $content) {
    open(my $handle, '>:raw', "$DIRECTORY/$name") or die $!;
    print {$handle} $content;
    close($handle) or die $!;
}

sub slurp ($path) {
    open(my $handle, '<:raw', $path) or die "$path: $!";
    local $/ = undef;
    return scalar(<$handle>) // '';
}

my $rootfs_count = 0;

sub new_rootfs() {
    my $path = "$DIRECTORY/rootfs" . $rootfs_count++;
    mkdir($path) or die $!;
    return $path;
}

sub extracted ($config, @warnings) {
    my $result = {
        manifestDigest => $DIGEST, configDigest => 'sha256:' . 'b' x 64, entriesWritten => 1,
        platform => { architecture => 'amd64', os => 'linux' },
        bytesWritten => 1, warnings => \@warnings, warningsCount => scalar(@warnings),
        platform => { os => 'linux', architecture => 'amd64' }, referenceName => 'latest',
    };
    return [['reply', { parameters => { result => $result, config => $config } }]];
}

# Runs restore_archive on an image with this config; returns configuration, rootfs, error, daemon.
sub restore ($config, $conf = { unprivileged => 1 }, $rootdir = new_rootfs(), @warnings) {
    my $daemon = FakeDaemon->start(extracted($config, @warnings));
    local $ENV{PVE_OCI_SOCKET} = $daemon->socket();
    @PVE::RESTEnvironment::warnings = ();
    open(my $log, '>', \my $text) or die $!;
    my $stdout = select($log);
    eval {
        PVE::LXC::OCI::restore_archive(
            $STORAGE, 'local:vztmpl/image.tar', $rootdir, $conf, 0,
            100
        );
    };
    my $error = $@;
    select($stdout);
    return ($conf, $rootdir, $error, $daemon, $text);
}

sub lxc_value ($conf, $key) {
    my @values = map { $_->[1] } grep { $_->[0] eq $key } ($conf->{lxc} // [])->@*;
    is(scalar(@values), @values ? 1 : 0, "$key is there once at most");
    return $values[0];
}

write_tar('image.tar');
write_file('template.tar.gz', "\x1f\x8b" . 'x' x 1000);
write_tar('vzdump-lxc-100-2026_01_01-00_00_00.tar');

1;
