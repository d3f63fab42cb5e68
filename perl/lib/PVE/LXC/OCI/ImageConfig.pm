package PVE::LXC::OCI::ImageConfig;

# From an image's config object to properties of a container's configuration. No file is touched
# here.
#
# Strings in come as characters and leave as bytes: that is what configuration files and rootfs
# hold.

use v5.36;

use PVE::LXC::Config;

our $INIT_COMMAND = '/.pve.init';

my $SYSTEM_INIT = '/sbin/init';
my $DEFAULT_STOP_SIGNAL = 'SIGTERM';
my $MAX_PATH_LENGTH = 4095;
my $MAX_SIGNAL = 64;

# What both signal(7) and liblxc know.
my $SIGNALS = {
    map { $_ => 1 }
        qw(HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD
        CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS),
};

my sub bytes ($text) {
    utf8::encode($text);
    return $text;
}

my sub list ($config, $key) {
    my $value = $config->{$key} // return;
    die "image configuration: $key is not a list\n" if ref($value) ne 'ARRAY';
    return map { bytes($_) } $value->@*;
}

my sub text ($config, $key) {
    my $value = $config->{$key} // '';
    die "image configuration: $key is not a string\n" if ref($value);
    return bytes($value);
}

# A signal as liblxc reads it: digits, SIGNAME, SIGRTMIN+N, SIGRTMAX-N. Undef for anything else.
sub normalise_signal ($signal) {
    $signal = uc($signal) =~ s/\A\s+|\s+\z//gr;
    if ($signal =~ /\A([0-9]{1,2})\z/) {
        return $1 >= 1 && $1 <= $MAX_SIGNAL ? $1 + 0 : undef;
    }
    $signal =~ s/\ASIG//;
    return "SIG$1" if $signal =~ /\A([A-Z0-9]+)\z/ && $SIGNALS->{$1};
    return "SIGRTMIN+$1" if $signal =~ /\ARTMIN(?:\+([0-9]|[12][0-9]|30))\z/;
    return "SIGRTMAX-$1" if $signal =~ /\ARTMAX(?:-([0-9]|[12][0-9]|30))\z/;
    return 'SIGRTMIN+0' if $signal eq 'RTMIN';
    return 'SIGRTMAX-0' if $signal eq 'RTMAX';
    return;
}

# The working directory as a value of lxc.init.cwd: lines of configurations lose blanks at their
# end.
sub working_directory ($path) {
    return if $path eq '';
    $path = "/$path" if $path !~ m{\A/};
    $path .= '/' if $path =~ /\s\z/;
    die "image configuration: WorkingDir is longer than $MAX_PATH_LENGTH bytes\n"
        if length($path) > $MAX_PATH_LENGTH;
    return $path;
}

# Does this version of pve-container know the property?
my sub knows_property ($name) {
    my $properties = eval { PVE::LXC::Config->json_config_properties({}) } // {};
    return exists($properties->{$name});
}

my sub knows_lxc_key ($key) {
    return eval { PVE::LXC::Config::is_valid_lxc_conf_key(0, $key) } ? 1 : 0;
}

my sub has_lxc_key ($conf, $key) {
    return scalar(grep { $_->[0] eq $key } ($conf->{lxc} // [])->@*);
}

my sub variable_name ($variable) { return $variable =~ s/=.*\z//sr }

# The image's variables that the user did not set; what is no NAME=VALUE is left out, of a name that
# is there twice the last counts.
my sub variables ($conf, $config, $warn) {
    my %taken = map { variable_name($_) => 1 } split(/\0+/, $conf->{env} // '');
    my (@names, %variables);
    for my $variable (list($config, 'Env')) {
        my $name = variable_name($variable);
        if ($name eq '' || $name eq $variable) {
            $warn->("image configuration: Env: '$variable' is not NAME=VALUE, left out");
            next;
        }
        next if $taken{$name};
        push @names, $name if !exists($variables{$name});
        $variables{$name} = $variable;
    }
    return map { $variables{$_} } @names;
}

# Beside a command of the user's own, variables become lines of the container's configuration.
my sub one_line_variables ($warn, @variables) {
    my @kept;
    for my $variable (@variables) {
        if ($variable =~ /[\x00-\x08\x0a-\x1f\x7f]|\xc2[\x80-\x9f]/) {
            $warn->("image configuration: Env: '$variable' holds a control character, left out");
        } else {
            push @kept, $variable;
        }
    }
    return @kept;
}

my sub user ($config, $resolve) {
    my $user = text($config, 'User');
    return $user eq '' ? { uid => 0, gid => 0, groups => [] } : $resolve->($user);
}

# liblxc (5.0, 6.0) sets lxc.init.groups only without an id map, so a user with groups is left to
# /.pve.init where that is started; with an id map nothing else can give them.
my sub user_keys ($user) {
    my @keys = (['lxc.init.uid', $user->{uid}], ['lxc.init.gid', $user->{gid}]);
    push @keys, ['lxc.init.groups', join(',', $user->{groups}->@*)] if $user->{groups}->@*;
    return @keys;
}

my sub stop_signal ($config, $warn) {
    my $wanted = text($config, 'StopSignal');
    return $DEFAULT_STOP_SIGNAL if $wanted eq '';
    my $signal = normalise_signal($wanted);
    $warn->("image configuration: unknown StopSignal '$wanted', using $DEFAULT_STOP_SIGNAL")
        if !defined($signal);
    return $signal // $DEFAULT_STOP_SIGNAL;
}

# What the image wants, as { init => {...}, variables, lxc => [[key, value], ...], directories =>
# [...] }. init is left out when the user has chosen a command. Undef for a system container: there
# is nothing to set.
#
# $resolve turns a User into { uid, gid, groups }, $warn takes a line.
sub settings ($conf, $config, $resolve, $warn) {
    my @command = (list($config, 'Entrypoint'), list($config, 'Cmd'));
    my $own_command = $conf->{entrypoint};
    return if defined($own_command) && $own_command eq $SYSTEM_INIT;
    if (!defined($own_command) && !has_lxc_key($conf, 'lxc.init.cmd')) {
        $warn->("image has no command, $SYSTEM_INIT will be started") if !@command;
        return if !@command || (@command == 1 && $command[0] eq $SYSTEM_INIT);
    } else {
        $own_command //= '';
    }
    my $user = user($config, $resolve);
    my @lxc = (['lxc.signal.halt', stop_signal($config, $warn)]);
    my $directory = working_directory(text($config, 'WorkingDir'));
    push @lxc, ['lxc.init.cwd', $directory] if defined($directory);
    push @lxc, user_keys($user)
        if text($config, 'User') ne '' && (defined($own_command) || !$user->{groups}->@*);
    my $volumes = $config->{Volumes} // {};
    die "image configuration: Volumes is not an object\n" if ref($volumes) ne 'HASH';
    # not every liblxc makes the working directory
    my @directories = ($directory // (), map { bytes($_) } keys $volumes->%*);
    my @variables = variables($conf, $config, $warn);
    @variables = one_line_variables($warn, @variables) if defined($own_command);
    return {
        defined($own_command)
        ? ()
        : (init => { command => \@command, variables => \@variables, $user->%* }),
        variables => \@variables,
        lxc => \@lxc,
        directories => [sort(@directories)],
    };
}

# Beside a command of the user's own there is no /.pve.init, but the property env, in newer
# versions.
my sub apply_variables ($conf, @variables) {
    return if !knows_property('env');
    my @known = grep { variable_name($_) =~ /\A\w+\z/ } @variables;
    my @all = (split(/\0+/, $conf->{env} // ''), @known);
    $conf->{env} = join("\0", @all) if @all;
    return;
}

# Puts the settings into $conf, each only where there is none yet.
sub apply ($conf, $settings) {
    for my $entry ($settings->{lxc}->@*) {
        my ($key) = $entry->@*;
        push $conf->{lxc}->@*, $entry if knows_lxc_key($key) && !has_lxc_key($conf, $key);
    }
    if ($settings->{init}) {
        if (knows_property('entrypoint')) {
            $conf->{entrypoint} = $INIT_COMMAND;
        } else {
            push $conf->{lxc}->@*, ['lxc.init.cmd', $INIT_COMMAND];
        }
    } else {
        apply_variables($conf, $settings->{variables}->@*);
    }
    $conf->{cmode} //= 'console'; # nothing but a system's init opens terminals
    return;
}

1;
