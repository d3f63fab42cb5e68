package PVE::OCI::CLI::Output;

# Makes text of replies: JSON, fields, columns, Prometheus. Returns strings, prints nothing.

use v5.36;

use PVE::OCI::Text;
use PVE::OCI::Varlink;

my $SHORT_DIGEST = 12;

sub json ($data, $is_pretty = 0) {
    my $json = PVE::OCI::Varlink::json()->canonical->allow_nonref;
    return $is_pretty ? $json->pretty->encode($data) : $json->encode($data) . "\n";
}

my sub short_digest ($digest, $is_tty) {
    return $digest if !$is_tty;
    return $digest =~ s/\A([a-z0-9+._-]+:[0-9a-f]{$SHORT_DIGEST})[0-9a-f]*\z/$1/r;
}

my sub time_of ($microseconds) {
    require POSIX; # not above: it is slow to load, and few commands print times
    return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(int($microseconds / 1_000_000)));
}

my sub labels ($labels) {
    return join(',', map { "$_=$labels->{$_}" } sort keys $labels->%*);
}

my sub is_number ($value) { return !ref($value) && $value =~ /\A[0-9]+(?:\.[0-9]+)?\z/ }

# Format => [ what the value must be, how it is shown ].
my $FORMATS = {
    digest => [sub ($v) { !ref($v) }, \&short_digest],
    json => [sub ($v) { 1 }, sub ($v, $t) { json($v) }],
    keys => [sub ($v) { ref($v) eq 'HASH' }, sub ($v, $t) { join(' ', sort keys $v->%*) }],
    labels => [sub ($v) { ref($v) eq 'HASH' }, sub ($v, $t) { labels($v) }],
    list => [sub ($v) { ref($v) eq 'ARRAY' }, sub ($v, $t) { join(' ', $v->@*) }],
    size => [\&is_number, sub ($v, $t) { PVE::OCI::Text::size($v) }],
    time => [\&is_number, sub ($v, $t) { time_of($v) }],
};

# The value of one field, as clean text. What does not have the form it should is shown as JSON.
my sub cell ($data, $column, $is_tty) {
    my ($title, $field, $format) = $column->@*;
    my $value = $data;
    for my $name (split(/\./, $field)) {
        $value = ref($value) eq 'HASH' ? $value->{$name} : undef;
    }
    return '' if !defined($value);
    if ($format && $FORMATS->{$format}->[0]->($value)) {
        $value = $FORMATS->{$format}->[1]->($value, $is_tty);
    } elsif (ref($value)) {
        $value = json($value);
    }
    return PVE::OCI::Text::one_line($value);
}

# The columns of a terminal that a text takes.
my sub width ($text) {
    return length($text) if $text !~ /[^\x20-\x7e]/; # Unicode's tables are slow to load
    my $wide = () = $text =~ /[\p{East_Asian_Width=Wide}\p{East_Asian_Width=Fullwidth}]/g;
    my $none = () = $text =~ /[\p{Nonspacing_Mark}\p{Enclosing_Mark}]/g;
    return length($text) + $wide - $none;
}

my sub padded ($text, $columns) { return $text . ' ' x ($columns - width($text)) }

# One field a line, empty ones left out.
sub fields ($data, $columns, $is_tty) {
    my @lines = grep { $_->[1] ne '' } map { [$_->[0], cell($data, $_, $is_tty)] } $columns->@*;
    my ($width) = sort { $b <=> $a } map { length($_->[0]) } @lines;
    return join('', map { sprintf("%-*s  %s\n", $width, $_->@*) } @lines);
}

# One entry a line under titles.
sub table ($entries, $columns, $is_tty, $has_header) {
    return '' if !$entries->@*;
    my @rows = map {
        my $entry = $_;
        [map { cell($entry, $_, $is_tty) } $columns->@*];
    } $entries->@*;
    unshift @rows, [map { uc($_->[0]) } $columns->@*] if $has_header;
    my @widths;
    for my $row (@rows) {
        for my $i (0 .. $row->$#*) {
            my $width = width($row->[$i]);
            $widths[$i] = $width if $width > ($widths[$i] // 0);
        }
    }
    my $text = '';
    for my $row (@rows) {
        my $line = join('  ', map { padded($row->[$_], $widths[$_]) } 0 .. $row->$#*);
        $text .= ($line =~ s/ +\z//r) . "\n";
    }
    return $text;
}

# A whole reply as the verb's columns and lists say.
sub text ($verb, $reply, $is_tty, $has_header) {
    my @parts = fields($reply, $verb->{columns}, $is_tty);
    for my $list (($verb->{lists} // [])->@*) {
        my ($field, @columns) = $list->@*;
        my $entries = ref($reply->{$field}) eq 'ARRAY' ? $reply->{$field} : [];
        push @parts, table($entries, \@columns, $is_tty, $has_header);
    }
    return join("\n", grep { $_ ne '' } @parts);
}

my sub prometheus_name ($metric) {
    my $name = $metric->{name} =~ s/(?<=[a-z0-9])([A-Z])/_\l$1/gr =~ s/[^A-Za-z0-9_]/_/gr;
    $name = "pve_oci_$name" if $name !~ /\Apve_oci/;
    $name .= '_total' if ($metric->{kind} // '') eq 'counter' && $name !~ /_total\z/;
    return $name;
}

my sub prometheus_labels ($labels) {
    return '' if ref($labels) ne 'HASH' || !$labels->%*;
    my $escape = { '\\' => '\\\\', '"' => '\\"', "\n" => '\\n' };
    my @pairs;
    for my $label (sort keys $labels->%*) {
        my $name = $label =~ s/[^A-Za-z0-9_]/_/gr;
        my $value = ($labels->{$label} // '') =~ s/([\\"\n])/$escape->{$1}/gr;
        push @pairs, "$name=\"$value\"";
    }
    return '{' . join(',', @pairs) . '}';
}

# The text exposition format; samples of one metric stand together.
sub prometheus ($metrics) {
    my (%samples, %kinds);
    for my $metric ($metrics->@*) {
        my $name = prometheus_name($metric);
        $kinds{$name} = ($metric->{kind} // '') =~ /\A(counter|gauge)\z/ ? $1 : 'untyped';
        my $value = is_number($metric->{value} // '') ? $metric->{value} : 'NaN';
        push $samples{$name}->@*, $name . prometheus_labels($metric->{labels}) . " $value\n";
    }
    my @names = sort keys %samples;
    return join('', map { ("# TYPE $_ $kinds{$_}\n", $samples{$_}->@*) } @names);
}

1;
