package PVE::LXC::OCI::Archive;

# Can a file be an OCI image archive? Told from its first bytes, by Perl alone: templates of the
# usual kind must not need pve-ocid, nor be read as a whole. Whether it is one the engine says.

use v5.36;

use Compress::Raw::Zlib ();
use POSIX ();

my $BLOCK = 512;           # of a tar archive
my $PEEK_SIZE = 64 * 1024; # of the file, and what is wanted of its content
my $ZSTD = '/usr/bin/zstd';

my sub is_tar_header ($header) {
    return 0 if length($header) < $BLOCK;
    my $sum = substr($header, 148, 8) =~ /\A[ 0]*([0-7]{1,7})[ \0]*\z/ ? oct($1) : return 0;
    substr($header, 148, 8) = ' ' x 8;
    return unpack('%32C*', $header) == $sum;
}

my sub gunzip ($bytes) {
    my ($inflate) = Compress::Raw::Zlib::Inflate->new(
        -WindowBits => Compress::Raw::Zlib::WANT_GZIP(),
        -LimitOutput => 1, -Bufsize => $PEEK_SIZE,
    );
    return '' if !$inflate;
    $inflate->inflate($bytes, my $content); # once: what it gives is limited
    return $content // '';
}

# By the program that tar runs, too; the file is its standard input, as its name may be anything.
my sub unzstd ($handle) {
    return '' if !-x $ZSTD || !seek($handle, 0, 0);
    my $pid = open(my $output, '-|') // return '';
    if (!$pid) {
        open(STDERR, '>', '/dev/null');
        open(STDIN, '<&', $handle) and exec({$ZSTD} $ZSTD, '-dcq');
        POSIX::_exit(1);
    }
    read($output, my $content, $PEEK_SIZE);
    close($output); # fails where zstd had more to write than was read
    return $content // '';
}

# Is the first thing in a tar archive one of those that an image layout consists of?
my sub begins_like_layout ($content) {
    for (my $at = 0; is_tar_header(substr($content, $at, $BLOCK)); $at += $BLOCK) {
        my $header = substr($content, $at, $BLOCK);
        my ($name) = unpack('Z100', $header) =~ m{\A(?:\./+)*(.*?)/*\z}s;
        return 1 if $name =~ m{\A(?:oci-layout|index\.json|manifest\.json|blobs(?:/.*)?)\z}s;
        my $type = substr($header, 156, 1);
        return 0 if $name ne '' && $name ne '.' && $type !~ /\A[gx]\z/;
        my ($size) = unpack('x124 Z12', $header) =~ /\A\s*([0-7]{1,11})/ or return 0;
        $at += $BLOCK * int((oct($size) + $BLOCK - 1) / $BLOCK);
    }
    return 0;
}

# Of a tar archive that is not compressed any can, as it is read by seeking.
sub may_be_image ($path) {
    return 0 if !-f $path; # opening a fifo would hang
    open(my $handle, '<:raw', $path) or return 0;
    return 0 if (read($handle, my $start, $PEEK_SIZE) // 0) < 4;
    return begins_like_layout(gunzip($start)) if $start =~ /\A\x1f\x8b/;
    return begins_like_layout(unzstd($handle)) if $start =~ /\A\x28\xb5\x2f\xfd/;
    return is_tar_header(substr($start, 0, $BLOCK));
}

1;
