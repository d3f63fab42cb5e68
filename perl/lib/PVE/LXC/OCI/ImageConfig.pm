package PVE::LXC::OCI::ImageConfig;

# Turns an image's config object into properties of a container's configuration. Looks up users,
# links and directories in the rootfs, and writes nothing there.
#
# Strings in come as characters and leave as bytes: that is what configuration files and rootfs
# hold.

use v5.36;

use Cwd ();

use PVE::OCI::Env;
use PVE::OCI::Rootfs;
use PVE::OCI::User;

# needed for containers only; a root file system by itself can be updated without it
eval { require PVE::LXC::Config };

our $INIT_COMMAND = '/.pve.init';

# What docker gives an image without a PATH; native/pve-init.c has the same.
my $DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

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

# Values of a raw key, in their order.
my sub lxc_values ($conf, $key) {
    return map { $_->[1] } grep { $_->[0] eq $key } ($conf->{lxc} // [])->@*;
}

my sub has_lxc_key ($conf, $key) { return scalar(my @values = lxc_values($conf, $key)) }

my sub variable_name ($variable) { return $variable =~ s/=.*\z//sr }

# The image's variables. One that is not NAME=VALUE is left out. If a name occurs twice, the last
# one counts.
my sub variables ($config, $warn) {
    my (@names, %variables);
    for my $variable (list($config, 'Env')) {
        my $name = variable_name($variable);
        if ($name eq '' || $name eq $variable) {
            $warn->("image configuration: Env: '$variable' is not NAME=VALUE, left out");
            next;
        }
        push @names, $name if !exists($variables{$name});
        $variables{$name} = $variable;
    }
    return map { $variables{$_} } @names;
}

# What the user set in the container's configuration.
my sub own_variables ($conf) {
    return (
        split(/\0+/, $conf->{env} // ''),
        map { lxc_values($conf, $_) } qw(lxc.environment lxc.environment.runtime),
    );
}

# As for docker, an Entrypoint of one empty string means that there is none.
my sub image_command ($config) {
    my @entrypoint = list($config, 'Entrypoint');
    my $is_unset = @entrypoint == 1 && $entrypoint[0] eq '';
    my @command = ($is_unset ? () : @entrypoint, list($config, 'Cmd'));
    die "image configuration: there is no command: Entrypoint is an empty string, Cmd is missing;"
        . " set the container's entrypoint\n"
        if $is_unset && !@command;
    die "image configuration: the command is an empty string; set the container's entrypoint\n"
        if @command && $command[0] eq '';
    return @command;
}

# The command that the user chose, as LXC will split it; undef if there is none.
my sub own_command ($conf) {
    my $command = $conf->{entrypoint} // (lxc_values($conf, 'lxc.init.cmd'))[-1] // return;
    $command =~ s/\A\s+//;
    $command =~ s{\A\Q$INIT_COMMAND\E(?:\s+|\z)}{};
    return $command eq '' ? undef : $command;
}

# The working directory of the user, else of the image; undef if there is none.
my sub directory ($conf, $config) {
    return (lxc_values($conf, 'lxc.init.cwd'))[-1]
        // working_directory(text($config, 'WorkingDir'));
}

my sub volumes ($config) {
    my $volumes = $config->{Volumes} // {};
    die "image configuration: Volumes is not an object\n" if ref($volumes) ne 'HASH';
    return map { bytes($_) } sort keys $volumes->%*;
}

# Dies if no container can be started from this config. To be called as soon as the config is known;
# it needs no rootfs.
sub check ($conf, $config) {
    my @command = defined(own_command($conf)) ? () : image_command($config);
    my %variables = map { variable_name($_) => $_ } variables($config, sub ($line) { }),
        own_variables($conf);
    eval { PVE::OCI::Env::check_size([@variables{ sort keys %variables }], \@command); 1 }
        or die "image configuration: $@";
    list($config, $_) for qw(Entrypoint Cmd);
    text($config, $_) for qw(User StopSignal);
    directory($conf, $config);
    volumes($config);
    return;
}

my sub check_own_id ($conf, $key) {
    my $value = (lxc_values($conf, $key))[-1] // return;
    my ($id) = $value =~ /\A\s*([0-9]{1,10})\s*\z/ or die "$key: '$value' is not an id\n";
    return $id + 0;
}

# Who the command runs as: lxc.init.uid, gid and groups where the user set them, by LXC's rules,
# else the image's User. $files is what PVE::OCI::User::read_inside returned. Returns { uid, gid,
# groups, home }.
my sub user ($conf, $config, $files) {
    my ($uid, $gid) = map { scalar(check_own_id($conf, "lxc.init.$_")) } qw(uid gid);
    my $user = PVE::OCI::User::resolve_in($uid // text($config, 'User'), $files->@*);
    if (defined($uid) || defined($gid)) {
        $user->{gid} = $gid // 0;
        $user->{groups} = [];
    }
    my $groups = (lxc_values($conf, 'lxc.init.groups'))[-1];
    $user->{groups} = [$groups =~ /([0-9]{1,10})/g] if defined($groups);
    return $user;
}

my sub stop_signal ($config, $default, $warn) {
    my $wanted = text($config, 'StopSignal');
    return $default if $wanted eq '';
    my $signal = normalise_signal($wanted);
    $warn->("image configuration: unknown StopSignal '$wanted', using " . ($default // "LXC's"))
        if !defined($signal);
    return $signal // $default;
}

# Inside of rootfs: where links lead, or '' if nowhere.
my sub target_of ($path) {
    return eval { Cwd::realpath($path) } // '';
}

# Inside of rootfs: is this path, or what a link there leads to, systemd or what is called init?
my sub is_system_init_path ($path) {
    return 1 if $path =~ m{\A/(?:usr/)?sbin/init\z};
    my $target = target_of($path);
    return $target =~ m{/lib/systemd/systemd\z} && -e $target ? 1 : 0;
}

# The paths that a command may stand for, in the order in which they are looked for.
my sub candidates ($command, $path) {
    return if $command !~ m{\A[\w./+-]+\z};
    return $command if $command =~ m{\A/};
    return if $command =~ m{/};
    return map { "$_/$command" } grep { m{\A/} } split(/:/, $path);
}

# Inside of rootfs: finds out whether a command is a system's init. Returns undef if not, otherwise
# { path, is_default, is_missing }: its path, whether /sbin/init leads to the same file, and whether
# there is no such file.
my sub system_init ($command, @candidates) {
    my ($file) = grep { $_ eq $command || -e } @candidates;
    return if !defined($file) || !is_system_init_path($file);
    my $is_default = $file eq $SYSTEM_INIT || target_of($file) eq target_of($SYSTEM_INIT);
    return {
        path => $file,
        is_default => $is_default ? 1 : 0,
        is_missing => -e $file ? 0 : 1,
    };
}

# Looks at all that matters of rootfs, in one go. Returns system_init, which is what the function of
# this name returned, and unless the container is the system's that this init starts:
#
#     users    what PVE::OCI::User::read_inside returned
#     missing  those of $directories that are not there
my sub look_into ($rootdir, $command, $path, $is_alone, $directories = []) {
    my @candidates = candidates($command, $path);
    my $found = PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            my $system_init = system_init($command, @candidates);
            return { system_init => $system_init } if $system_init && $is_alone;
            return {
                system_init => $system_init,
                users => PVE::OCI::User::read_inside(),
                missing => [grep { !-d $directories->[$_] } 0 .. $directories->$#*],
            };
        },
    );
    $found->{missing} = [map { $directories->[$_] } ($found->{missing} // [])->@*];
    return $found;
}

# The settings of a system container. If its init is not /sbin/init, they are this init and the stop
# signal that the image names. A system takes care of everything else itself.
my sub system_settings ($config, $init, $warn) {
    my $signal = $init->{path} eq $SYSTEM_INIT ? undef : stop_signal($config, undef, $warn);
    $warn->("image has no $init->{path}, the container will not start; set its entrypoint")
        if $init->{is_missing};
    return {
        is_system => 1,
        command => $init->{path},
        $init->{is_default} ? () : (entrypoint => $init->{path}),
        lxc => [defined($signal) ? ['lxc.signal.halt', $signal] : ()],
        missing => [],
    };
}

# What the image wants. $warn takes a line. The result:
#
#     is_system    the command is a system's init
#     command      what will start: a list, or the user's own command as a text
#     init         what /.pve.env will hold; missing if LXC starts the command itself
#     entrypoint   for the container's configuration; missing for /sbin/init
#     lxc          raw keys, [[key, value], ...]
#     volumes      directories for data
#     missing      directories that the container needs and rootfs does not have, volumes included
sub settings ($conf, $config, $rootdir, $warn) {
    check($conf, $config);
    my $own_command = own_command($conf);
    my @command =
        defined($own_command) ? (eval { image_command($config) }) : image_command($config);
    my @variables = variables($config, $warn);
    my %value = map { split(/=/, $_, 2) } @variables;
    my $first = defined($own_command) ? ($own_command =~ /\A(\S+)/)[0] : $command[0];
    if (!defined($first)) {
        $warn->("image has no command, $SYSTEM_INIT will be started");
        my $found = look_into($rootdir, $SYSTEM_INIT, '', 1);
        return system_settings($config, $found->{system_init}, $warn);
    }
    my $directory = directory($conf, $config);
    my @volumes = volumes($config);
    my $is_alone = defined($own_command) ? $own_command eq $first : @command == 1;
    my $found = look_into(
        $rootdir, $first, $value{PATH} // $DEFAULT_PATH, $is_alone,
        [sort($directory // (), @volumes)],
    );
    my $system_init = $found->{system_init};
    if ($system_init && $is_alone) {
        # the user's own stays as it is
        return system_settings({}, { $system_init->%*, is_default => 1 }, $warn)
            if defined($own_command);
        return system_settings($config, $system_init, $warn);
    }
    my $user = user($conf, $config, $found->{users});
    push @variables, "PATH=$DEFAULT_PATH" if !exists($value{PATH});
    push @variables, "HOME=$user->{home}" if !exists($value{HOME});
    my $signal = stop_signal($config, $system_init ? undef : $DEFAULT_STOP_SIGNAL, $warn);
    return {
        is_system => $system_init ? 1 : 0,
        init => {
            command => \@command, variables => \@variables, directory => $directory // '',
            map { $_ => $user->{$_} } qw(uid gid groups),
        },
        command => $own_command // \@command,
        entrypoint => join(' ', $INIT_COMMAND, $own_command // ()),
        lxc => [
            defined($signal) ? ['lxc.signal.halt', $signal] : (),
            defined($directory) ? ['lxc.init.cwd', $directory] : (),
        ],
        volumes => \@volumes,
        # not every liblxc makes the working directory
        missing => $found->{missing},
    };
}

# Puts the settings into $conf; what is there already stays. @unmade are directories that could not
# be made: LXC would end without a message if it cannot enter its working directory, so that is left
# to /.pve.init, which says why.
sub apply ($conf, $settings, @unmade) {
    my %is_unmade = map { $_ => 1 } @unmade;
    for my $entry ($settings->{lxc}->@*) {
        my ($key, $value) = $entry->@*;
        next if $key eq 'lxc.init.cwd' && $is_unmade{$value};
        push $conf->{lxc}->@*, $entry if knows_lxc_key($key) && !has_lxc_key($conf, $key);
    }
    if (defined(my $entrypoint = $settings->{entrypoint})) {
        my ($raw) = grep { $_->[0] eq 'lxc.init.cmd' } ($conf->{lxc} // [])->@*;
        if (knows_property('entrypoint') && (defined($conf->{entrypoint}) || !$raw)) {
            $conf->{entrypoint} = $entrypoint;
        } elsif ($raw) {
            $raw->[1] = $entrypoint;
        } else {
            push $conf->{lxc}->@*, ['lxc.init.cmd', $entrypoint];
        }
    }
    return if $settings->{is_system};
    $conf->{cmode} //= 'console'; # nothing but a system's init opens terminals
    return;
}

1;
