package PVE::LXC::OCI::Summary;

# Says in the task log of a create what will start, so that a user sees it before something goes
# wrong.

use v5.36;

use PVE::OCI::Text;

my $MAX_LINE_LENGTH = 500;

# Characters of the image's config as bytes.
my sub bytes ($text) {
    utf8::encode($text);
    return $text;
}

# Makes one line of bytes without control characters, and cuts it if it is too long for a log.
my sub log_line ($bytes) {
    utf8::decode($bytes);
    my $line = PVE::OCI::Text::one_line($bytes);
    $line = substr($line, 0, $MAX_LINE_LENGTH) . '...' if length($line) > $MAX_LINE_LENGTH;
    return bytes($line);
}

# A word of a command, quoted as for a shell, so that one sees where it ends.
my sub quoted ($word) {
    return $word =~ m{\A[\w@%+=:,./-]+\z} ? $word : "'" . $word =~ s/'/'\\''/gr . "'";
}

my sub command_line ($settings) {
    my $command = $settings->{command};
    my $text = ref($command) ? join(' ', map { quoted($_) } $command->@*) : $command;
    return "command: $text" . ($settings->{is_system} ? ' (a system container)' : '');
}

my sub user_line ($config, $init) {
    my $groups = $init->{groups}->@* ? ', groups ' . join(', ', $init->{groups}->@*) : '';
    my $name = bytes($config->{User} // '');
    my $origin = $name eq '' ? '' : " (the image says '$name')";
    return "user: $init->{uid}:$init->{gid}$groups$origin";
}

my sub volume_line ($conf, $path) {
    my $clean = $path =~ s{/+\z}{}r;
    for my $key (grep { /\Amp[0-9]+\z/ } sort keys $conf->%*) {
        my ($mounted) = $conf->{$key} =~ /(?:\A|,)mp=([^,]+)/ or next;
        $mounted =~ s{/+\z}{};
        return "volume: $path (its data is on mount point $key)"
            if $clean eq $mounted || $clean =~ m{\A\Q$mounted\E/};
    }
    return "volume: $path (its data is on the root disk)";
}

# These parts of the config have not been checked, so values of another type are left out.
my sub unused_lines ($config) {
    my $ports = ref($config->{ExposedPorts}) eq 'HASH' ? $config->{ExposedPorts} : {};
    my @lines = map { 'port: ' . bytes($_) . " (reachable at the container's address)" }
        sort keys $ports->%*;
    my $healthcheck = ref($config->{Healthcheck}) eq 'HASH' ? $config->{Healthcheck}->{Test} : [];
    my ($kind, @test) = map { bytes($_) }
        grep { defined($_) && !ref($_) } ref($healthcheck) eq 'ARRAY' ? $healthcheck->@* : ();
    push @lines, 'healthcheck: ' . join(' ', map { quoted($_) } @test) . ' (is not run)'
        if defined($kind) && $kind ne 'NONE';
    return @lines;
}

# Parts of the config that a system container does not get.
my sub left_out_line ($config) {
    my @keys = grep { my $value = $config->{$_}; ref($value) eq 'ARRAY' ? $value->@* : $value }
        qw(Env User Volumes WorkingDir);
    return @keys ? "left out, because a system sets these by itself: @keys" : ();
}

# One fact a line. $conf is as ImageConfig::apply has left it, $settings comes from ImageConfig.
sub lines ($conf, $config, $settings) {
    my @lines = command_line($settings);
    if (my $init = $settings->{init}) {
        my %raw = map { $_->@* } ($conf->{lxc} // [])->@*;
        my $signal = $raw{'lxc.signal.halt'} // 'chosen by LXC';
        push @lines, user_line($config, $init),
            'directory: ' . ($init->{directory} eq '' ? '/' : $init->{directory}),
            "stop signal: $signal",
            map { volume_line($conf, $_) } $settings->{volumes}->@*;
    } else {
        push @lines, left_out_line($config);
    }
    return map { log_line($_) } @lines, unused_lines($config);
}

1;
