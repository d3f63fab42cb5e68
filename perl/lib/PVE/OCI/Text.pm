package PVE::OCI::Text;

# Makes text for terminals and task logs. What comes from an image, a client or a container is
# shown only through clean or one_line. pve.oci.text.Text does the same in Java; both are held to
# the vectors of shown-text.json.

use v5.36;

# Characters that a terminal or a log would act on: controls, DEL, Unicode's format controls
# (category Cf of Unicode 15, bidirectional ones among them), line and paragraph separators. A list
# of our own, because Perl and the JDK follow different versions of Unicode.
my $HIDDEN = qr/[
    \x{0}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{600}-\x{605}\x{61c}\x{6dd}\x{70f}\x{890}\x{891}\x{8e2}\x{180e}
    \x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fff9}-\x{fffb}\x{110bd}\x{110cd}
    \x{13430}-\x{1343f}\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0001}\x{e0020}-\x{e007f}
]/xx;

my sub escaped ($text) {
    utf8::encode($text);
    return $text =~ s/(.)/sprintf('\\x%02x', ord($1))/egrs;
}

# Bytes as characters, where they are UTF-8. Perl decodes more than UTF-8 allows: halves of
# surrogate pairs, and code points beyond Unicode.
my sub characters ($bytes) {
    my $text = $bytes;
    return $text if utf8::decode($text) && $text !~ /[\x{d800}-\x{dfff}]|[^\x{0}-\x{10ffff}]/;
    return $bytes =~ s/([\x80-\xff])/sprintf('\\x%02x', ord($1))/egr;
}

# Characters that can be shown; each of the others becomes the bytes of its UTF-8 form, written as
# \xNN. A string that Perl does not flag as characters is taken as bytes: those that are not UTF-8
# become \xNN.
sub clean ($text) {
    $text = characters($text) if !utf8::is_utf8($text);
    $text =~ s/[\x{d800}-\x{dfff}]/?/g; # half of a pair has no UTF-8 form
    return $text =~ s/($HIDDEN)/escaped($1)/egr;
}

# The same, as one line of a message: without blanks at its end.
sub one_line ($text) { return clean($text =~ s/\s+\z//r) }

# JSON as a terminal may have it: all that is not ASCII is written as \uNNNN, which means the same.
sub ascii_json ($json) {
    my $escape = sub ($code) {
        return sprintf('\\u%04x', $code) if $code < 0x10000;
        $code -= 0x10000;
        return sprintf('\\u%04x\\u%04x', 0xd800 + ($code >> 10), 0xdc00 + ($code & 0x3ff));
    };
    return $json =~ s/([^\x00-\x7e])/$escape->(ord($1))/egr;
}

# 1536 => "1.5 KiB"
sub size ($bytes) {
    return clean($bytes) if $bytes !~ /\A[0-9]+(?:\.[0-9]+)?\z/;
    my @units = qw(B KiB MiB GiB TiB PiB);
    while ($bytes >= 1024 && @units > 1) {
        $bytes /= 1024;
        shift @units;
    }
    return $units[0] eq 'B' ? "$bytes B" : sprintf('%.1f %s', $bytes, $units[0]);
}

1;
