# OCI image archives for tests, made entry by entry.
package TestImage;

use v5.36;

use Compress::Zlib ();
use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use JSON;

our @EXPORT_OK = qw(entry write_image);

my $JSON = JSON->new->utf8->canonical;

# One entry of a layer. Options: uid, gid, mode, link, content; size, if the content is written by
# the caller.
sub entry ($type, $name, %option) {
    my $content = $option{content} // '';
    my $header = pack(
        'a100 a8 a8 a8 a12 a12 A8 a1 a100 a6 a2 x64 a8 a8 x167',
        $name,
        sprintf('%07o', $option{mode} // ($type eq '5' ? 0755 : 0644)),
        (map { sprintf('%07o', $option{$_} // 0) } qw(uid gid)),
        sprintf('%011o', $option{size} // length($content)),
        sprintf('%011o', 1_700_000_000),
        '',
        $type,
        $option{link} // '',
        'ustar',
        '00',
        (map { sprintf('%07o', $_) } 1, 3),
    );
    substr($header, 148, 8) = sprintf('%06o', unpack('%32C*', $header)) . "\0 ";
    return $header . $content . "\0" x (-length($content) % 512);
}

sub descriptor ($type, $bytes) {
    return {
        mediaType => "application/vnd.oci.image.$type",
        digest => 'sha256:' . sha256_hex($bytes),
        size => length($bytes),
    };
}

my sub architecture() {
    my ($machine) = (POSIX::uname())[4];
    return { x86_64 => 'amd64', aarch64 => 'arm64' }->{$machine} // $machine;
}

# Writes an archive; layers are strings of entries, or { entries, type, compress } where they are
# not to be compressed by gzip. Returns its path.
sub write_image ($path, $config, @layers) {
    require POSIX;
    my (%blobs, @descriptors, @diff_ids);
    my $add = sub ($type, $bytes) {
        my $descriptor = descriptor($type, $bytes);
        $blobs{ $descriptor->{digest} =~ s/:/\//r } = $bytes;
        return $descriptor;
    };
    for my $layer (@layers) {
        my $tar = (ref($layer) ? $layer->{entries} : $layer) . "\0" x 1024;
        push @diff_ids, 'sha256:' . sha256_hex($tar);
        push @descriptors,
            ref($layer)
            ? $add->("layer.v1.tar+$layer->{type}", $layer->{compress}->($tar))
            : $add->('layer.v1.tar+gzip', Compress::Zlib::memGzip($tar));
    }
    my %platform = (architecture => architecture(), os => 'linux');
    my $full = {
        %platform, config => $config,
        rootfs => { type => 'layers', diff_ids => \@diff_ids },
    };
    my $manifest = {
        schemaVersion => 2,
        mediaType => 'application/vnd.oci.image.manifest.v1+json',
        config => $add->('config.v1+json', $JSON->encode($full)),
        layers => \@descriptors,
    };
    my $top = $add->('manifest.v1+json', $JSON->encode($manifest));
    my $index = { schemaVersion => 2, manifests => [{ $top->%*, platform => \%platform }] };
    open(my $file, '>:raw', $path) or die "open $path: $!\n";
    print $file entry('0', 'oci-layout', content => '{"imageLayoutVersion":"1.0.0"}'),
        entry('0', 'index.json', content => $JSON->encode($index)),
        (map { entry('0', "blobs/$_", content => $blobs{$_}) } sort keys %blobs), "\0" x 1024;
    close($file) or die "write $path: $!\n";
    return $path;
}

1;
