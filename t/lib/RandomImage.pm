# Images made at random from a seed: an image layout with a few layers whose entries collide,
# replace each other, link to each other and remove each other. Only what the specification says one
# way is in them, so that tools must agree.
package RandomImage;

use v5.36;

use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use File::Path qw(make_path);
use JSON;

our @EXPORT_OK = qw(write_layout);

my @COMPONENTS = ('a' .. 'e', 'etc', "n\xc3\xa4me", 'x' x 120);
my %TYPEFLAG = (file => 0, link => 1, symlink => 2, dir => 5, fifo => 6);

# A generator of our own: rand differs between builds of perl.
my sub generator ($seed) {
    my $state = $seed * 2654435761 % 4294967296;
    return sub ($below) {
        $state = ($state * 1664525 + 1013904223) % 4294967296;
        return int($state / 65536) % $below;
    };
}

my sub pax_record ($key, $value) {
    my $rest = length($key) + length($value) + 3;
    my $length = $rest + length($rest);
    $length = $rest + length($length);
    return "$length $key=$value\n";
}

my sub header ($typeflag, $name, $entry, $size) {
    my $header = pack(
        'a100 A8 A8 A8 A12 A12 A8 a1 a100 a8 a32 a32 a8 a8 a155 x12',
        $name, sprintf("%07o\0", $entry->{mode}), sprintf("%07o\0", $entry->{uid}),
        sprintf("%07o\0", $entry->{gid}), sprintf("%011o\0", $size),
        sprintf("%011o\0", $entry->{mtime}), ' ' x 8, $typeflag, $entry->{target} // '',
        "ustar\00000",
        '', '', '', '', ''
    );
    substr($header, 148, 8) = sprintf("%06o\0 ", unpack('%32C*', $header));
    return $header;
}

my sub padded ($bytes) {
    return $bytes . "\0" x (-length($bytes) % 512);
}

my sub tar_entry ($entry) {
    my $pax = pax_record('mtime', "$entry->{mtime}.$entry->{nanos}");
    $pax .= pax_record('path', $entry->{name});
    $pax .= pax_record('linkpath', $entry->{target}) if defined($entry->{target});
    $pax .= pax_record("SCHILY.xattr.$_", $entry->{xattrs}{$_}) for sort keys %{ $entry->{xattrs} };
    my $content = $entry->{content} // '';
    return
          header('x', 'PaxHeader', { %$entry, target => undef }, length($pax))
        . padded($pax)
        . header($TYPEFLAG{ $entry->{type} }, $entry->{name}, $entry, length($content))
        . padded($content);
}

# What is where, so that the next entry can be one that every tool takes: parents are directories,
# targets are files.
my sub forget_below ($tree, $path) {
    delete($tree->@{ grep { index("$_/", "$path/") == 0 } keys %$tree });
    return;
}

my sub parents_of ($path) {
    my @parents;
    push(@parents, $path) while $path =~ s{/[^/]+\z}{};
    return reverse(@parents);
}

my sub random_path ($random, $tree) {
    while (1) {
        my $depth = 1 + $random->(3);
        my $path = join('/', map { $COMPONENTS[$random->(scalar @COMPONENTS)] } 1 .. $depth);
        return $path if !grep { ($tree->{$_} // 'dir') ne 'dir' } parents_of($path);
    }
}

my sub random_entry ($random, $tree, $is_plain) {
    my $path = random_path($random, $tree);
    my $type = ('file', 'file', 'file', 'dir', 'dir', 'symlink', 'fifo', 'link')[$random->(8)];
    my @files = sort grep { $tree->{$_} eq 'file' && index("$_/", "$path/") != 0 } keys %$tree;
    $type = 'file' if $type eq 'link' && !@files;
    return if $is_plain && exists($tree->{$path});
    my $entry = {
        name => $path, type => $type, mode => $random->(4096),
        nanos => sprintf('%09d', $random->(1000000000)),
        uid => $random->(65536), gid => $random->(65536),
        mtime => 1000000000 + $random->(700000000), xattrs => {},
    };
    # umoci leaves it to the kernel what a directory without an entry takes over of a set-group-ID
    # one
    $entry->{mode} = $entry->{mode} & 05777 | 0700 if $type eq 'dir';
    $entry->{content} = chr(65 + $random->(26)) x $random->(3000) if $type eq 'file';
    $entry->{target} = $files[$random->(scalar @files)] if $type eq 'link';
    $entry->{target} = ('a/b', '/etc', '../x', 'no', '.')[$random->(5)] if $type eq 'symlink';
    if ($random->(4) == 0 && $type =~ /^(?:file|dir)$/) {
        $entry->{xattrs}{ 'user.' . chr(97 + $random->(5)) } =
            join('', map { chr($random->(256)) } 0 .. $random->(9));
    }
    forget_below($tree, $path) if $type ne 'dir' || ($tree->{$path} // 'dir') ne 'dir';
    $tree->{$_} //= 'dir' for parents_of($path);
    $tree->{$path} = $type eq 'link' ? 'file' : $type;
    return $entry;
}

# Markers come first and name what lower layers have; whether they count for their own layer is not
# the question here.
my sub markers ($random, $tree) {
    my $text = '';
    my @paths = sort keys %$tree;
    for (1 .. (@paths ? $random->(4) : 0)) {
        my $path = $paths[$random->(scalar @paths)];
        next if !exists($tree->{$path});
        my $is_opaque = $tree->{$path} eq 'dir' && $random->(3) == 0;
        my $name = $is_opaque ? "$path/.wh..wh..opq" : $path =~ s{([^/]+)\z}{.wh.$1}r;
        my %owner = (mode => 0, uid => 0, gid => 0, mtime => 0, nanos => 0, xattrs => {});
        $text .= tar_entry({ name => $name, type => 'file', %owner });
        my $kind = $tree->{$path};
        forget_below($tree, $path);
        $tree->{$path} = $kind if $is_opaque;
    }
    return $text;
}

my sub layer ($random, $tree, $is_plain) {
    my $tar = markers($random, $tree);
    for (1 .. 5 + $random->(40)) {
        my $entry = random_entry($random, $tree, $is_plain) // next;
        $tar .= tar_entry($entry);
    }
    return $tar . "\0" x 1024;
}

# Writes an image layout with the tag "t" into a directory. A plain one has one layer and every name
# once. Returns the file names of its layers.
sub write_layout ($directory, $seed, $is_plain = 0) {
    my $random = generator($seed);
    make_path("$directory/blobs/sha256");
    my $blob = sub ($type, $bytes) {
        my $hex = sha256_hex($bytes);
        open(my $file, '>:raw', "$directory/blobs/sha256/$hex") or die "$directory: $!\n";
        print {$file} $bytes;
        close($file) or die "$directory: $!\n";
        return {
            mediaType => "application/vnd.oci.image.$type", digest => "sha256:$hex",
            size => length($bytes)
        };
    };
    my $tree = {};
    my @layers = map { $blob->('layer.v1.tar', layer($random, $tree, $is_plain)) }
        1 .. ($is_plain ? 1 : 1 + $random->(4));
    my $config = $blob->(
        'config.v1+json',
        encode_json({
            architecture => 'amd64', os => 'linux', config => {},
            rootfs => { type => 'layers', diff_ids => [map { $_->{digest} } @layers] },
        })
    );
    my $manifest = $blob->(
        'manifest.v1+json',
        encode_json({ schemaVersion => 2, config => $config, layers => \@layers })
    );
    $manifest->{annotations} = { 'org.opencontainers.image.ref.name' => 't' };
    my %file = (
        'oci-layout' => { imageLayoutVersion => '1.0.0' },
        'index.json' => { schemaVersion => 2, manifests => [$manifest] },
    );
    for my $name (keys %file) {
        open(my $handle, '>', "$directory/$name") or die "$directory/$name: $!\n";
        print {$handle} encode_json($file{$name});
        close($handle) or die "$directory/$name: $!\n";
    }
    return map { "$directory/blobs/sha256/" . ($_->{digest} =~ s/^sha256://r) } @layers;
}

1;
