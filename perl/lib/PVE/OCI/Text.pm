package PVE::OCI::Text;

# Makes text for terminals and task logs.

use v5.36;

# What reaches a terminal or a task log holds neither line breaks nor escape sequences.
sub one_line ($text) {
    $text =~ s/\s+\z//;
    $text =~ s/([\x00-\x1f\x7f-\x9f])/sprintf('\\x%02x', ord($1))/ge;
    return $text;
}

# 1536 => "1.5 KiB"
sub size ($bytes) {
    my @units = qw(B KiB MiB GiB TiB PiB);
    while ($bytes >= 1024 && @units > 1) {
        $bytes /= 1024;
        shift @units;
    }
    return $units[0] eq 'B' ? "$bytes B" : sprintf('%.1f %s', $bytes, $units[0]);
}

1;
