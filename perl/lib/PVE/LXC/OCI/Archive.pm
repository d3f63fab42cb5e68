package PVE::LXC::OCI::Archive;

# Decides whether a file can be an image archive, by the names in it and by Perl alone: ordinary
# templates must not need pve-ocid, nor be read as a whole. Whether it really is an image, the
# engine decides. An image must never get the answer "no": it would be unpacked as a root file
# system.

use v5.36;

use POSIX ();

use PVE::OCI::Signals;

my $BLOCK = 512;             # of a tar archive
my $MAX_RECORD = 64 * 1024;  # of a long name
my $MAX_FOREIGN = 1000;      # as many other names as the engine reads before it gives up
my $FIRST_PART = 128 * 1024; # how much of a root file system is looked through

# First bytes => program that decompresses, as tar(1) would run it; whether the engine reads it as
# well.
my @COMPRESSIONS = (
    [qr/\A\x1f\x8b/, 'gzip', 1],
    [qr/\A(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/, 'zstd', 1],
    [qr/\A\xfd7zXZ\0/, 'xz', 0],
    [qr/\A\x5d\0\0/, 'xz', 0],
    [qr/\ABZh[1-9](?:1AY&SY|\x17rE8P\x90)/, 'bzip2', 0],
    [qr/\A\x89LZO\0/, 'lzop', 0],
    [qr/\A\x04\x22\x4d\x18/, 'lz4', 0],
);

# The names of the files in image archives. pve.oci.archive.ImageNames knows the same; both are
# held to image-names.json.
my $HEX = qr/[0-9a-f]{64}/;
my $IMAGE_NAME = qr{\A(?:
    oci-layout | index\.json | manifest\.json | repositories
    | blobs(?:/.*)?
    | (?:sha256:)?$HEX(?:\.json | \.tar(?:\.gz|\.gzip|\.zst|\.zstd)? | \.tgz | /.*)?
)\z}xs;

# Names at the top of root file systems.
my $ROOTFS_NAME = qr{\A(?:
    bin|boot|dev|etc|home|lib(?:32|64|x32)?|lost\+found|media|mnt|opt|proc
    |root|run|sbin|srv|sys|tmp|usr|var
)(?:/|\z)}x;

sub is_image_name ($name) { return $name =~ $IMAGE_NAME ? 1 : 0 }

# A name without empty components, "." and "..".
sub clean_name ($name) {
    my @clean;
    for my $component (split(m{/}, $name)) {
        if ($component eq '..') {
            pop @clean;
        } elsif ($component ne '' && $component ne '.') {
            push @clean, $component;
        }
    }
    return join('/', @clean);
}

my sub is_tar_header ($header) {
    return 0 if length($header) < $BLOCK;
    my $sum = substr($header, 148, 8) =~ /\A[ 0]*([0-7]{1,7})[ \0]*/ ? oct($1) : return 0;
    substr($header, 148, 8) = ' ' x 8;
    return unpack('%32C*', $header) == $sum;
}

# The next bytes of a file, or of what a program decompresses from it.
my sub take ($source, $count) {
    my $bytes = '';
    while (length($bytes) < $count) {
        read($source->{handle}, $bytes, $count - length($bytes), length($bytes)) or last;
    }
    $source->{offset} += length($bytes);
    return $bytes;
}

my sub skip ($source, $count) {
    if ($source->{is_seekable}) {
        $source->{offset} += $count;
        return seek($source->{handle}, $count, 1);
    }
    while ($count > 0) {
        my $taken = length(take($source, $count < 65536 ? $count : 65536)) or return 0;
        $count -= $taken;
    }
    return 1;
}

my sub size_of ($header) {
    my $field = substr($header, 124, 12);
    return oct($1) if $field =~ /\A[ \0]*([0-7]{1,12})/;
    my (undef, $high, $low) = unpack('N N N', $field); # GNU's binary numbers
    return ord($field) & 0x80 ? $high * 4294967296 + $low : 0;
}

# The next name; undef at the end. Long names of GNU and PAX stand in records of their own.
my sub next_name ($source) {
    my $long;
    while (1) {
        my $header = take($source, $BLOCK);
        if (!is_tar_header($header)) {
            $source->{is_odd} = length($header) == $BLOCK && $header =~ /[^\0]/;
            return;
        }
        my ($type, $size) = (substr($header, 156, 1), size_of($header));
        my $stored = int(($size + $BLOCK - 1) / $BLOCK) * $BLOCK;
        if ($type =~ /\A[xXL]\z/ && $stored <= $MAX_RECORD) {
            my $record = substr(take($source, $stored), 0, $size);
            ($long) = $type eq 'L' ? $record =~ /\A([^\0]*)/ : $record =~ /^\d+ path=(.*)$/m;
            next;
        }
        my ($name, $magic, $prefix) = unpack('Z100 x157 a6 x82 Z155', $header);
        $name = "$prefix/$name" if $magic eq "ustar\0" && $prefix ne '';
        $stored = 0 if $type =~ /\A[1-6]\z/;
        skip($source, $stored) or return;
        next if $type =~ /\A[xXLKgVD]\z/;
        return $long // $name;
    }
}

# Reads names until one decides; undef if the file is no tar archive there. An image archive has a
# name of an image near its beginning, whatever is packed first. So an archive that begins like a
# root file system is also searched for a while.
my sub has_image_name ($source) {
    my ($foreign, $is_rootfs) = (0, 0);
    while (defined(my $name = next_name($source))) {
        $name = clean_name($name);
        next if $name eq '';
        return 1 if is_image_name($name);
        $is_rootfs = 1 if !$foreign && $name =~ $ROOTFS_NAME;
        return 0 if ++$foreign > $MAX_FOREIGN;
        return 0
            if $is_rootfs && !$source->{is_seekable} && $source->{offset} > $FIRST_PART;
    }
    return $source->{is_odd} && $foreign ? undef : 0;
}

# The output of a program that reads the file as its standard input, as the file's name may be
# anything.
my sub decompressed ($handle, $program) {
    my ($path) = grep { -x } map { "$_/$program" } qw(/usr/bin /bin) or return;
    seek($handle, 0, 0) or return;
    my $output;
    my $started = PVE::OCI::Signals::guard(sub ($guard) {
        my $pid = open($output, '-|') // return;
        return $pid if $pid;
        $guard->forget_handlers();
        open(STDERR, '>', '/dev/null');
        open(STDIN, '<&', $handle) and exec({$path} $path, '-dcq');
        POSIX::_exit(1);
    });
    return if !$started;
    binmode($output);
    return { handle => $output, offset => 0 };
}

# Whether the file may be an image archive. If in doubt, the answer is yes, and the engine decides.
# Dies if it is an image that neither the engine nor the original function can use.
sub may_be_image ($path) {
    return 0 if !-f $path; # opening a fifo would hang
    open(my $handle, '<:raw', $path) or return 0;
    read($handle, my $start, $BLOCK) // return 0;
    my ($compression) = grep { $start =~ $_->[0] } @COMPRESSIONS;
    if (!$compression) {
        seek($handle, 0, 0) or return 0;
        return has_image_name({ handle => $handle, offset => 0, is_seekable => 1 }) // 1;
    }
    my (undef, $program, $is_readable) = $compression->@*;
    my $source = decompressed($handle, $program) // return $is_readable;
    my $is_image = has_image_name($source);
    close($source->{handle}); # seldom read to its end, so the program's exit code says nothing
    die "'$path' is an image archive that is compressed with $program;"
        . " decompress it, or compress it with gzip or zstd\n"
        if $is_image && !$is_readable;
    return $is_image // $is_readable;
}

1;
