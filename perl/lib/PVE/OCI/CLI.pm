package PVE::OCI::CLI;

# The program pve-oci: reads the command line by the tables of PVE::OCI::CLI::Verbs, calls PVE::OCI,
# prints what comes back. Returns the exit code to bin/pve-oci.

use v5.36;

use Errno ();

use PVE::OCI;
use PVE::OCI::CLI::Options;
use PVE::OCI::CLI::Verbs;
use PVE::OCI::Signals;
use PVE::OCI::Text;

my $SIGNALS = { HUP => 1, INT => 2, TERM => 15 };

# The first signal and its time; what the command is doing; whether it has begun to end.
my ($interrupt, $work, $is_ending);

my sub usage_error ($where, $message) {
    die { exit_code => $PVE::OCI::CLI::Verbs::EXIT_USAGE, where => $where, message => $message };
}

# A text of PVE::OCI::CLI::Help, by the name of its function.
my sub text_of_help ($name, @arguments) {
    require PVE::OCI::CLI::Help; # not above: commands start faster without
    return PVE::OCI::CLI::Help->can($name)->(@arguments);
}

# Text from an image is printed to a terminal only as one clean line, without what progress or the
# ^C of a terminal has left in it.
my sub report ($where, $message) {
    my $line = PVE::OCI::Text::one_line($message);
    $work->{clear}->() if $work;
    print STDERR "\r\e[K" if $interrupt && -t STDERR;
    print STDERR 'pve-oci: ', (defined($where) ? PVE::OCI::Text::clean($where) . ': ' : ''),
        "$line\n";
    return;
}

# Splits the command line into verb, arguments and given options.
my sub parse_command_line (@words) {
    my ($arguments, $given, @complaints) = PVE::OCI::CLI::Options::parse(@words);
    my $name = shift $arguments->@*;
    usage_error($name, $complaints[0]) if @complaints;
    return ($name, $arguments, $given);
}

my sub check_arguments ($verb, $arguments) {
    my @wanted = ($verb->{arguments} // [])->@*;
    my $required = grep { !/\A\[/ } @wanted;
    my $is_list = @wanted && $wanted[-1] =~ /\.\.\.\]?\z/;
    my $count = $arguments->@*;
    usage_error($verb->{name}, "usage: " . text_of_help('usage_line', $verb))
        if $count < $required || ($count > @wanted && !$is_list);
    usage_error($verb->{name}, 'an argument is empty')
        if grep { $_ eq '' } $arguments->@[0 .. $required - 1];
    return;
}

my sub check_options ($verb, $given) {
    my %known = map { $_ => 1 } PVE::OCI::CLI::Verbs::options_of($verb);
    for my $name (sort keys $given->%*) {
        usage_error($verb->{name}, "option --$name is not one of this verb") if !$known{$name};
        my $values = $PVE::OCI::CLI::Options::TABLE->{$name}->{values} // next;
        usage_error($verb->{name}, "--$name must be one of " . join(', ', $values->@*))
            if !grep { $_ eq $given->{$name} } $values->@*;
    }
    usage_error($verb->{name}, '--raw excludes --config') if $given->{raw} && $given->{config};
    return;
}

# An option is wrong; what reports it knows the verb.
my sub refuse ($message) { PVE::OCI::Error->throw('InvalidArgument', $message) }

# The number that an option's text stands for, in the unit of the client's option.
my sub number ($name, $text) {
    my $type = $PVE::OCI::CLI::Options::TABLE->{$name}->{type} // return $text;
    return $text if $text =~ /\A[0-9]{1,15}\z/;
    refuse("--$name: '$text' is not a whole number") if $type eq 'count';
    require PVE::OCI::Settings; # not above: few commands have such numbers
    my $bytes = PVE::OCI::Settings::parse_bytes($text)
        // refuse("--$name: '$text' is not a whole number with K, M, G or T");
    return $bytes if $type eq 'bytes';
    return int(($bytes + 1023) / 1024);
}

# "0:100000:65536" => [type, 0, 100000, 65536]
my sub map_entries ($type, $texts) {
    my $option = "--${type}idmap";
    return map {
        my $text = $_;
        my @numbers = $text =~ /\A([0-9]{1,10}):([0-9]{1,10}):([0-9]{1,10})\z/
            or refuse("$option: '$text' is not CONTAINER:HOST:COUNT");
        [$type, @numbers];
    } map { split(/,/, $_, -1) } $texts->@*;
}

my sub id_map ($given) {
    my ($uid_map, $gid_map) = $given->@{qw(uidmap gidmap)};
    if ($given->{privileged}) {
        refuse('--privileged excludes --uidmap and --gidmap') if $uid_map || $gid_map;
        return [];
    }
    refuse('--gidmap needs --uidmap') if $gid_map && !$uid_map;
    return if !$uid_map;
    return [map_entries('u', $uid_map), map_entries('g', $gid_map // $uid_map)];
}

my sub client_options ($given) {
    my $options = { on_fallback => sub ($line) { report(undef, $line) } };
    for my $name (keys $given->%*) {
        my $key = $PVE::OCI::CLI::Options::TABLE->{$name}->{key} // next;
        $options->{$key} = number($name, $given->{$name});
    }
    refuse('--daemon excludes --embedded') if $given->{daemon} && $given->{embedded};
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
    require PVE::OCI::CLI::Output;
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
    my $say = sub ($line) { report($verb->{name}, $line) };
    my @warnings;
    require PVE::OCI::CLI::Progress;
    my ($show, $clear) = PVE::OCI::CLI::Progress::display(\*STDERR, -t STDERR);
    my $wants_lines = -t STDERR || !is_json($given) || $given->{verbose};
    if (!$given->{quiet}) {
        $options->{progress} = $show if $wants_lines;
        $options->{on_warning} = sub ($line, $warning) { push @warnings, "warning: $line" };
        $options->{on_job} = sub ($id) {
            $say->("job $id") if $given->{verbose};
            require PVE::OCI::CLI::Output; # while the job is at work there is time to load it
        };
    }
    $options->{on_abort} = $say;
    return ($clear, sub () { $say->($_) for @warnings });
}

# Standard input for -, which must be a file: archives are read by seeking.
my sub opened_archive ($verb, $name) {
    return $name if $name ne '-';
    return \*STDIN if -f STDIN || -d STDIN;
    my $what = -p STDIN ? 'a pipe' : -t STDIN ? 'a terminal' : 'not a file';
    usage_error(
        $verb->{name},
        "standard input is $what, but an archive is read by seeking:"
            . ' write it to a file first, or use < FILE'
    );
}

# Tells the user what a failed extraction has left in ROOTFS: the daemon may have died, or the user
# may not have waited for it.
my sub report_leftovers ($verb, $rootdir, $before, $error) {
    my $found = PVE::OCI::Leftovers::find($rootdir, $before);
    report(
        $verb->{name},
        "$rootdir still holds files of the image, such as $found; empty it before it is used again"
    ) if defined($found);
    my $caught = PVE::OCI::Error::caught($error);
    my $is_in_doubt = $interrupt || $caught && $caught->{name} eq 'ConnectionLost';
    report($verb->{name}, "$rootdir is as it was before") if $is_in_doubt && !defined($found);
    return;
}

my sub call_verb ($verb, $arguments, $options) {
    return $verb->{run}->($arguments, $options) if !$verb->{makes_files};
    require PVE::OCI::Leftovers;
    my $rootdir = $arguments->[1];
    my $before = PVE::OCI::Leftovers::listed($rootdir);
    my $reply = eval { $verb->{run}->($arguments, $options) };
    return $reply if defined($reply);
    my $error = $@;
    $is_ending = 1; # a signal must not end the last words
    $options->{clear}->();
    report_leftovers($verb, $rootdir, $before, $error) if $before;
    die $error;
}

my sub print_text ($text) {
    local $| = 1;   # so that print tells whether it could write
    print STDOUT $text or die "cannot write to standard output: $!\n";
    return $PVE::OCI::CLI::Verbs::EXIT_DONE;
}

my sub run_verb ($verb, $arguments, $given) {
    my $options = client_options($given);
    my @arguments = $arguments->@*;
    $arguments[0] = opened_archive($verb, $arguments[0])
        if ($verb->{arguments} // [''])->[0] eq 'ARCHIVE';
    my ($clear, $show_warnings) = (sub () { }, sub () { });
    ($clear, $show_warnings) = watch($verb, $given, $options) if $verb->{progress};
    $options->{clear} = $clear;
    $work = { verb => $verb, clear => $clear };
    my $reply = eval { call_verb($verb, \@arguments, $options) };
    my $error = $@;
    $clear->();
    die $error if !defined($reply);
    print_text(format_reply($verb, $reply, $given));
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

# Says where the limit comes from that was exceeded: from an option, if that has the same value, or
# from the settings.
my sub limit_hint ($parameters, $given) {
    my ($limit, $maximum) = map { $_ // '' } $parameters->@{qw(limit maximum)};
    for my $option (qw(max-bytes max-entries)) {
        my $wanted = $given->{$option} // next;
        return "the limit is that of --$option"
            if $limit eq ($option eq 'max-bytes' ? 'maximumSize' : 'maximumEntries')
            && $maximum eq number($option, $wanted);
    }
    my $key = $limit =~ s/([A-Z])/-\l$1/gr;
    require PVE::OCI::Settings; # not above: few commands fail
    return if !grep { $_ eq $key } PVE::OCI::Settings::keys_of_file();
    return "the limit is $key in /etc/pve-ocid.conf; raise it if you trust the image";
}

# What the user can do about an error, undef if nothing is known.
my sub hint ($error, $given) {
    return limit_hint($error->{parameters}, $given)
        if $error->{name} eq 'io.pve.oci.LimitExceeded';
    return 'pct create and extract --record write it; update takes --base ARCHIVE instead'
        if $error->{name} eq 'io.pve.oci.NoRecord' && $error->{message} !~ /--base/;
    return
        'is pve-ocid.socket started? See systemctl status pve-ocid.socket, journalctl -u pve-ocid'
        if $error->{name} eq 'ConnectFailed'
        && ($error->{parameters}->{errnoName} // '') ne 'EACCES';
    return 'journalctl -u pve-ocid shows why' if $error->{name} eq 'ConnectionLost';
    my ($first, $count, $file) =
        $error->{message} =~ /range '[0-9]+ ([0-9]+) ([0-9]+)' is not within root's ranges in (\S+)/
        or return;
    # not above: few commands fail
    require PVE::OCI::IdMap;
    # without a line for root it has a range that the first such line takes away
    my $default = PVE::OCI::IdMap::default_range($file);
    my $lines =
        defined($default)
        ? "lines root:$default and root:$first:$count"
        : "line root:$first:$count";
    return "add the $lines to $file, or set allow-any-id-map = yes"
        . ' in /etc/pve-ocid.conf and reload pve-ocid';
}

my sub dispatch ($name, $arguments, $given) {
    return print_text("pve-oci $PVE::OCI::VERSION\n") if $given->{version};
    my $is_help = $given->{help} || ($name // '') eq 'help';
    my $about = ($name // '') eq 'help' ? $arguments->[0] : $name;
    my $verb;
    if (defined($about)) {
        $verb = PVE::OCI::CLI::Verbs::find_verb($about)
            // usage_error(undef, "unknown verb '$about', see 'pve-oci help'");
    }
    return print_text(text_of_help('help_text', $verb)) if $is_help;
    usage_error(undef, "a verb is missing, see 'pve-oci help'") if !$verb;
    check_options($verb, $given);
    check_arguments($verb, $arguments);
    return print_text(text_of_help($verb->{print})) if $verb->{print};
    return run_verb($verb, $arguments, $given);
}

# The first signal cancels the job, and what it made is removed. Signals within a moment of it count
# as the same request. A later one ends the waiting for the removal, see PVE::OCI::Varlink.
my sub handle_signal ($name) {
    return if $is_ending;
    if ($interrupt) {
        return if time() - $interrupt->{time} < $PVE::OCI::Signals::SAME_REQUEST;
    } else {
        $interrupt = { name => $name, time => time() };
        report($work->{verb}->{name}, 'interrupted, removing what was extracted')
            if $work && $work->{verb}->{makes_files};
    }
    die "interrupted\n";
}

# Runs the command line; returns the exit code.
sub main (@words) {
    utf8::decode($_) for @words;
    # :encoding(UTF-8) would load Encode, which doubles the time to start
    binmode($_, ':utf8') for \*STDOUT, \*STDERR; ## no critic (RequireEncodingWithUTF8Layer)
    ($interrupt, $work, $is_ending) = ();
    local @SIG{ keys $SIGNALS->%* } = map {
        my $name = $_;
        sub { handle_signal($name) }
    } keys $SIGNALS->%*;
    local $SIG{PIPE} = 'IGNORE';
    my ($name, $arguments, $given);
    local $SIG{__WARN__} = sub ($line) { report($name, $line =~ s/\Apve-oci: //r) };
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
    report($name, $error) if !$interrupt || $error ne "interrupted\n" || !$is_ending;
    return $PVE::OCI::CLI::Verbs::EXIT_SIGNAL + $SIGNALS->{ $interrupt->{name} } if $interrupt;
    my $caught = PVE::OCI::Error::caught($error);
    if ($caught) {
        my $hint = hint($caught, $given);
        report($name, $hint) if defined($hint);
        report($name, "error $caught->{name}") if $given->{verbose};
    }
    return exit_code_of($caught);
}

1;
