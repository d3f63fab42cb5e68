package PVE::OCI::CLI::Help;

# The texts that are made from the tables of PVE::OCI::CLI::Verbs: help, usage, completion of bash.

use v5.36;

use PVE::OCI::CLI::Verbs;

my $COLUMNS = 80;

sub usage_line ($verb) {
    return join(' ', 'pve-oci', $verb->{name}, ($verb->{arguments} // [])->@*, '[OPTION...]');
}

# Two columns; the right one is wrapped. A left one that is too wide has a line of its own.
my sub row ($width, $left, $right) {
    my @lines = ('');
    for my $word (split(/ +/, $right)) {
        push @lines, '' if length("$lines[-1] $word") > $COLUMNS - $width - 4;
        $lines[-1] .= $lines[-1] eq '' ? $word : " $word";
    }
    unshift @lines, '' if length($left) > $width;
    my $text = '';
    for my $line (@lines) {
        $text .= sprintf("  %-*s  %s", $width, $left, $line) =~ s/ +\z//r . "\n";
        $left = '';
    }
    return $text;
}

my sub option_row ($name) {
    my $option = $PVE::OCI::CLI::Options::TABLE->{$name};
    my $left = ($option->{short} ? "-$option->{short}, " : '    ') . "--$name";
    $left .= " $option->{value}" if $option->{value};
    return row(26, $left, $option->{help});
}

my sub verb_help ($verb) {
    my @common = PVE::OCI::CLI::Verbs::common_options_of($verb);
    my @own = ($verb->{options} // [])->@*;
    return join(
        '',
        'usage: ' . usage_line($verb) . "\n\n",
        map({ "$_\n" } ($verb->{forms} // [])->@*, $verb->{forms} ? '' : ()),
        row(0, '', ucfirst($verb->{summary}) . '.') =~ s/^ +//gmr,
        ($verb->{method} ? "Varlink method: $verb->{method}\n" : ''),
        (@own ? "\nOptions:\n" : ''), map({ option_row($_) } sort @own),
        (@common ? "\nOptions of every verb:\n" : ''), map({ option_row($_) } @common),
    );
}

# The help of a verb, or of the program if it is undef.
sub help_text ($verb) {
    return verb_help($verb) if $verb;
    return join(
        '',
        "usage: pve-oci VERB [ARGUMENT...] [OPTION...]\n\nVerbs:\n",
        map({ row(24, join(' ', $_->{name}, ($_->{arguments} // [])->@*), $_->{summary}) }
            @PVE::OCI::CLI::Verbs::VERBS),
        "\nOptions of every verb:\n",
        map({ option_row($_) } @PVE::OCI::CLI::Options::COMMON),
        "\nExit codes:\n",
        map({ row(3, sprintf('%3d', $_->[0]), $_->[1]) } @PVE::OCI::CLI::Verbs::EXIT_CODES),
    );
}

my sub cases ($lines) {
    return join('', map { "        $_->[0]) words='$_->[1]' ;;\n" } $lines->@*);
}

# The completion of bash. After an option it completes that option's values, if they are known.
# Other words are names of files, except for jobs after cancel, verbs after help, and the few second
# words of some verbs.
sub completion_text () {
    my @verbs = @PVE::OCI::CLI::Verbs::VERBS;
    my $options = $PVE::OCI::CLI::Options::TABLE;
    my $names = join(' ', map { $_->{name} } @verbs);
    my $common = join(' ', map { "--$_" } @PVE::OCI::CLI::Options::COMMON);
    my $verb_cases = cases([
        [q{''}, $common],
        map {
            my @words = map { "--$_" } PVE::OCI::CLI::Verbs::options_of($_);
            [$_->{name}, join(' ', @words)];
        } @verbs
    ]);
    my @valued = grep { $options->{$_}->{value} } sort keys $options->%*;
    my $value_cases = cases([
        map { ["--$_", join(' ', ($options->{$_}->{values} // $options->{$_}->{usual})->@*)] }
        grep { $options->{$_}->{values} || $options->{$_}->{usual} } @valued
    ]);
    my $no_words = join('|', map { $_->{name} } grep { !$_->{arguments} } @verbs);
    my $second_words = cases([
        map { [$_->{name}, join(' ', $_->{words}->@*)] }
        grep { $_->{words} } @verbs
    ]);
    my $is_file = join('|', map { "--$_" } grep { $options->{$_}->{is_file} } @valued);
    my $takes_value = join('|', map { "--$_" } @valued);
    return <<"END";
_pve_oci() {
    local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
    local words='' verb='' count=0 i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case \${COMP_WORDS[i]} in
        $takes_value) i=\$((i + 1)) ;;
        -*) ;;
        *) count=\$((count + 1)); verb=\${verb:-\${COMP_WORDS[i]}} ;;
        esac
    done
    case \$previous in
        $is_file) mapfile -t COMPREPLY < <(compgen -f -- "\$current"); return ;;
$value_cases        $takes_value) return ;;
    esac
    if [ "\$count" = 2 ]; then
        case \$verb in
$second_words        esac
    fi
    if [ -z "\$words" ] || [[ \$current = -* ]]; then
        case \$current in
        -*)
            case \$verb in
$verb_cases            esac
            ;;
        *)
            case \$verb in
            '' | help) words='$names' ;;
            cancel) words=\$(pve-oci jobs --noheader 2>/dev/null | sed 's/ .*//') ;;
            $no_words) return ;;
            *) mapfile -t COMPREPLY < <(compgen -f -- "\$current"); return ;;
            esac
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "\$words" -- "\$current")
}
complete -o filenames -F _pve_oci pve-oci
END
}

1;
