package PVE::OCI::CLI;

# The program pve-oci: reads the command line by the tables of PVE::OCI::CLI::Verbs, calls PVE::OCI,
# prints what comes back. Returns the exit code to bin/pve-oci.

use v5.36;

use Errno ();
use Getopt::Long ();
use IO::Handle;

use PVE::OCI;
use PVE::OCI::CLI::Output;
use PVE::OCI::CLI::Progress;
use PVE::OCI::CLI::Verbs;
use PVE::OCI::Text;

my $SIGNALS = { INT => 2, TERM => 15 };

my sub usage_error ($where, $message) {
    die { exit_code => $PVE::OCI::CLI::Verbs::EXIT_USAGE, where => $where, message => $message };
}

my sub usage_line ($verb) {
    my @arguments = ($verb->{arguments} // [])->@*;
    return join(' ', 'pve-oci', $verb->{name}, @arguments, '[OPTION...]');
}

my sub option_line ($name) {
    my $option = $PVE::OCI::CLI::Verbs::OPTIONS->{$name};
    my $left = ($option->{short} ? "-$option->{short}, " : '    ') . "--$name";
    $left .= " $option->{value}" if $option->{value};
    return sprintf("  %-28s  %s\n", $left, $option->{help});
}

my sub help_text ($verb) {
    return join(
        '',
        'usage: ' . usage_line($verb) . "\n\n",
        ucfirst($verb->{summary})
            . ($verb->{method} ? " (method $verb->{method})" : '') . ".\n",
        "\nOptions:\n",
        map { option_line($_) } PVE::OCI::CLI::Verbs::options_of($verb),
    ) if $verb;
    return join(
        '',
        "usage: pve-oci VERB [ARGUMENT...] [OPTION...]\n\nVerbs:\n",
        (
            map {
                sprintf(
                    "  %-24s  %s\n", join(' ', $_->{name}, ($_->{arguments} // [])->@*),
                    $_->{summary}
                )
            } @PVE::OCI::CLI::Verbs::VERBS
        ),
        sprintf("  %-24s  %s\n", 'help [VERB]', 'show the options of a verb'),
        sprintf("  %-24s  %s\n", 'completion', 'print the completion of bash'),
        "\nOptions of every verb:\n",
        (map { option_line($_) } @PVE::OCI::CLI::Verbs::COMMON_OPTIONS),
        "\nExit codes:\n",
        (map { sprintf("  %3d  %s\n", $_->@*) } @PVE::OCI::CLI::Verbs::EXIT_CODES),
    );
}

my sub completion_text() {
    my @verbs = @PVE::OCI::CLI::Verbs::VERBS;
    my $names = join(' ', (map { $_->{name} } @verbs), qw(help completion));
    my $cases = join(
        '',
        map {
            my $options = join(' ', map { "--$_" } PVE::OCI::CLI::Verbs::options_of($_));
            "        $_->{name}) words='$options' ;;\n";
        } @verbs,
    );
    return <<"END";
_pve_oci() {
    local current=\${COMP_WORDS[COMP_CWORD]} words=
    if [ "\$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=(\$(compgen -W '$names' -- "\$current"))
        return
    fi
    case \$current in -*) ;; *) mapfile -t COMPREPLY < <(compgen -f -- "\$current"); return ;; esac
    case \${COMP_WORDS[1]} in
$cases    esac
    COMPREPLY=(\$(compgen -W "\$words" -- "\$current"))
}
complete -o filenames -F _pve_oci pve-oci
END
}

# Splits the command line into verb, arguments and given options.
my sub parse_command_line (@words) {
    my ($given, @complaints) = ({});
    my $parser = Getopt::Long::Parser->new(
        config => [qw(bundling no_auto_abbrev no_ignore_case permute)],
    );
    my @specs = map {
        my $option = $PVE::OCI::CLI::Verbs::OPTIONS->{$_};
        my $names = join('|', $_, $option->{short} // ());
        $option->{spec} eq '' ? $names : "$names=$option->{spec}";
    } sort keys $PVE::OCI::CLI::Verbs::OPTIONS->%*;
    {
        local $SIG{__WARN__} = sub ($text) { push @complaints, $text };
        $parser->getoptionsfromarray(\@words, $given, @specs);
    }
    my $name = shift @words;
    usage_error($name, lcfirst($complaints[0]) =~ s/\s+\z//r) if @complaints;
    return ($name, \@words, $given);
}

my sub check_arguments ($verb, $arguments) {
    my @wanted = ($verb->{arguments} // [])->@*;
    my $required = grep { !/\A\[/ } @wanted;
    my $is_list = @wanted && $wanted[-1] =~ /\.\.\.\]?\z/;
    my $count = $arguments->@*;
    usage_error($verb->{name}, "usage: " . usage_line($verb))
        if $count < $required || ($count > @wanted && !$is_list);
    usage_error($verb->{name}, 'an argument is empty')
        if grep { $_ eq '' } $arguments->@[0 .. $required - 1];
    return;
}

my sub check_options ($verb, $given) {
    my %known = map { $_ => 1 } PVE::OCI::CLI::Verbs::options_of($verb);
    for my $name (sort keys $given->%*) {
        usage_error($verb->{name}, "option --$name is not one of this verb") if !$known{$name};
        my $values = $PVE::OCI::CLI::Verbs::OPTIONS->{$name}->{values} // next;
        usage_error($verb->{name}, "--$name must be one of " . join(', ', $values->@*))
            if !grep { $_ eq $given->{$name} } $values->@*;
    }
    return;
}

# "0:100000:65536" => [type, 0, 100000, 65536]
my sub map_entries ($type, $texts) {
    return map {
        my $text = $_;
        my @numbers = $text =~ /\A([0-9]{1,10}):([0-9]{1,10}):([0-9]{1,10})\z/
            or usage_error('extract', "'$text' is not CONTAINER:HOST:COUNT");
        [$type, @numbers];
    } map { split(/,/, $_, -1) } $texts->@*;
}

my sub id_map ($given) {
    my ($uid_map, $gid_map) = $given->@{qw(uidmap gidmap)};
    if ($given->{privileged}) {
        usage_error('extract', '--privileged excludes --uidmap and --gidmap')
            if $uid_map || $gid_map;
        return [];
    }
    usage_error('extract', '--gidmap needs --uidmap') if $gid_map && !$uid_map;
    return if !$uid_map;
    return [map_entries('u', $uid_map), map_entries('g', $gid_map // $uid_map)];
}

my sub client_options ($given) {
    my $options = {};
    for my $name (keys $given->%*) {
        my $key = $PVE::OCI::CLI::Verbs::OPTIONS->{$name}->{key} // next;
        $options->{$key} = $given->{$name};
    }
    usage_error(undef, '--daemon excludes --embedded') if $given->{daemon} && $given->{embedded};
    ($options->{mode}) = grep { $given->{$_} } qw(daemon embedded);
    if (defined(my $id_map = id_map($given))) {
        $options->{id_map} = $id_map;
    }
    return $options;
}

my sub is_json ($given) {
    return $given->{json} || ($given->{'output-format'} // 'text') ne 'text';
}

my sub is_pretty ($given) { return ($given->{'output-format'} // '') eq 'json-pretty' }

# JSON, as it is for a program; in ASCII for a terminal, which would act on some characters of an
# image.
my sub shown_json ($json) { return -t STDOUT ? PVE::OCI::Text::ascii_json($json) : $json }

my sub format_reply ($verb, $reply, $given) {
    return '' if $given->{quiet} && $verb->{progress} && !is_json($given);
    return PVE::OCI::CLI::Output::prometheus($reply->{metrics}) if $given->{prometheus};
    return shown_json(PVE::OCI::CLI::Output::json($reply->{config}, is_pretty($given)))
        if $given->{config};
    return shown_json($reply->{rawConfig} // die "the daemon did not send the configuration blob\n")
        if $given->{raw};
    return shown_json(PVE::OCI::CLI::Output::json($reply, is_pretty($given))) if is_json($given);
    return $verb->{text}->($reply, $given) if $verb->{text};
    return PVE::OCI::CLI::Output::text($verb, $reply, -t STDOUT, !$given->{noheader});
}

# Adds what shows progress and warnings to the options; returns what has to be called at the end.
my sub watch ($verb, $given, $options) {
    my $say = sub ($line) {
        print STDERR "pve-oci: $verb->{name}: ", PVE::OCI::Text::one_line($line), "\n";
    };
    my @warnings;
    my ($show, $clear) = PVE::OCI::CLI::Progress::display(\*STDERR, -t STDERR);
    my $wants_lines = -t STDERR || !is_json($given) || $given->{verbose};
    if (!$given->{quiet}) {
        $options->{progress} = $show if $wants_lines;
        $options->{on_warning} = sub ($line, $warning) { push @warnings, "warning: $line" };
        $options->{on_job} = sub ($id) { $say->("job $id") }
            if $given->{verbose};
    }
    return ($clear, sub () { $say->($_) for @warnings });
}

my sub run_verb ($verb, $arguments, $given) {
    my $options = client_options($given);
    my @arguments =
        map { $_ eq '-' && $verb->{arguments}->[0] eq 'ARCHIVE' ? \*STDIN : $_ } $arguments->@*;
    my ($clear, $show_warnings) = (sub () { }, sub () { });
    ($clear, $show_warnings) = watch($verb, $given, $options) if $verb->{progress};
    my $reply = eval { $verb->{run}->(\@arguments, $options) };
    my $error = $@;
    $clear->();
    die $error if !defined($reply);
    print STDOUT format_reply($verb, $reply, $given);
    STDOUT->flush() && !STDOUT->error() or die "cannot write to standard output: $!\n";
    $show_warnings->();
    return $verb->{exit_code} ? $verb->{exit_code}->($reply) : $PVE::OCI::CLI::Verbs::EXIT_DONE;
}

my sub exit_code_of ($error) {
    return $PVE::OCI::CLI::Verbs::EXIT_FAILED if !$error;
    my ($name, $parameters) = $error->@{qw(name parameters)};
    if ($PVE::OCI::CLI::Verbs::ERRNO_DECIDES->{$name}) {
        my $errno = $parameters->{errno} // 0;
        return $PVE::OCI::CLI::Verbs::EXIT_PERMISSION
            if $errno == Errno::EACCES || $errno == Errno::EPERM;
    }
    return $PVE::OCI::CLI::Verbs::ERROR_EXIT_CODES->{$name} // $PVE::OCI::CLI::Verbs::EXIT_FAILED;
}

my sub report ($where, $message) {
    my $line = PVE::OCI::Text::one_line($message);
    print STDERR 'pve-oci: ', (defined($where) ? PVE::OCI::Text::clean($where) . ': ' : ''),
        "$line\n";
    return;
}

my sub dispatch ($name, $arguments, $given) {
    if ($given->{version}) {
        print "pve-oci $PVE::OCI::VERSION\n";
        return $PVE::OCI::CLI::Verbs::EXIT_DONE;
    }
    my $is_help = $given->{help} || ($name // '') eq 'help';
    my $about = ($name // '') eq 'help' ? $arguments->[0] : $name;
    if ($is_help && !defined($about)) {
        print help_text(undef);
        return $PVE::OCI::CLI::Verbs::EXIT_DONE;
    }
    usage_error(undef, "a verb is missing, see 'pve-oci help'") if !defined($name);
    if ($name eq 'completion') {
        print completion_text();
        return $PVE::OCI::CLI::Verbs::EXIT_DONE;
    }
    my $verb = PVE::OCI::CLI::Verbs::find_verb($about)
        // usage_error(undef, "unknown verb '$about', see 'pve-oci help'");
    if ($is_help) {
        print help_text($verb);
        return $PVE::OCI::CLI::Verbs::EXIT_DONE;
    }
    check_options($verb, $given);
    check_arguments($verb, $arguments);
    return run_verb($verb, $arguments, $given);
}

# Runs the command line; returns the exit code.
sub main (@words) {
    utf8::decode($_) for @words;
    # :encoding(UTF-8) would load Encode, which doubles the time to start
    binmode($_, ':utf8') for \*STDOUT, \*STDERR; ## no critic (RequireEncodingWithUTF8Layer)
    my $signal;
    local @SIG{ keys $SIGNALS->%* } = map {
        my $name = $_;
        sub { $signal = $name; die "interrupted\n" }
    } keys $SIGNALS->%*;
    local $SIG{PIPE} = 'IGNORE';
    my ($name, $arguments, $given);
    my $code = eval {
        ($name, $arguments, $given) = parse_command_line(@words);
        dispatch($name, $arguments, $given);
    };
    my $error = $@;
    return $code if defined($code);
    if (ref($error) eq 'HASH') {
        report($error->{where}, $error->{message});
        return $error->{exit_code};
    }
    report($name, $error);
    return $PVE::OCI::CLI::Verbs::EXIT_SIGNAL + $SIGNALS->{$signal} if $signal;
    my $caught = PVE::OCI::Error::caught($error);
    report($name, "error $caught->{name}") if $caught && $given->{verbose};
    return exit_code_of($caught);
}

1;
