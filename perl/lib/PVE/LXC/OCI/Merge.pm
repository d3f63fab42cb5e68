package PVE::LXC::OCI::Merge;

# The three-way merge of what a container starts: what its image said then, what is in force now,
# what the new image says. Settings that nobody has changed become those of the new image. Settings
# that the administrator has changed stay, and a message says so. Variables are merged by name,
# everything else as a whole.

use v5.36;

use PVE::LXC::OCI::ImageConfig;
use PVE::OCI::Env;
use PVE::OCI::Origin;
use PVE::OCI::Text;

my sub by_name ($variables) {
    return map { PVE::OCI::Env::variable_name($_) => $_ } $variables->@*;
}

# Values may be secrets, so only names are told.
my sub environment ($then, $current, $now, $say) {
    my %now = by_name($now);
    # if it is not known what the old image said, variables that the new image also has count as the
    # image's
    my %then =
        by_name($then // [grep { exists($now{ PVE::OCI::Env::variable_name($_) }) } $current->@*]);
    my %current = by_name($current);
    my @merged;
    for my $variable ($current->@*) {
        my $name = PVE::OCI::Env::variable_name($variable);
        if (defined($then{$name}) && $then{$name} eq $variable) {
            push @merged, $now{$name} // next;
            next;
        }
        push @merged, $variable;
        my $is_new = ($now{$name} // '') ne ($then{$name} // '');
        my $more = $is_new && defined($now{$name}) ? '; the new image has another value' : '';
        $say->("variable $name stays as it was set$more")
            if $variable ne ($now{$name} // '');
    }
    for my $variable (grep { !exists($current{ PVE::OCI::Env::variable_name($_) }) } $now->@*) {
        my $name = PVE::OCI::Env::variable_name($variable);
        if (exists($then{$name})) {
            $say->("variable $name stays removed");
        } else {
            push @merged, $variable;
        }
    }
    return \@merged;
}

# A word as a shell would take it.
my sub quoted ($word) {
    return $word =~ m{\A[\w@%+=:,./-]+\z} ? $word : "'" . $word =~ s/'/'\\''/gr . "'";
}

# The fields of /.pve.env that are merged together, and how messages show them.
my @WHOLES = (
    [
        'command',
        [qw(command)],
        sub ($init) {
            join(' ', map { quoted($_) } $init->{command}->@*);
        }
    ],
    ['directory', [qw(directory)], sub ($init) { $init->{directory} // '' }],
    [
        'user', [qw(uid gid groups)],
        sub ($init) {
            join(':', $init->@{qw(uid gid)}, join(',', ($init->{groups} // [])->@*)) =~
                s/:\z//r;
        },
    ],
);

my sub merge_whole ($what, $then, $current, $now, $say) {
    return 1 if $current eq $then || $current eq $now;
    my $more = $then eq $now ? '' : "; the new image's is '$now', that of the old one was '$then'";
    $say->("$what stays as it was set: '$current'$more");
    return 0;
}

# What /.pve.env will hold. $then is undef if it is not known, $current if there was no file.
sub init ($then, $current, $now, $say) {
    my %merged = $now->%*;
    return \%merged if !$current;
    $merged{init} = $current->{init};
    $merged{variables} = environment(
        $then ? $then->{variables} : undef, $current->{variables}, $now->{variables},
        $say
    );
    for my $whole (@WHOLES) {
        my ($what, $fields, $text) = $whole->@*;
        my $before = $then // $current;
        next if merge_whole($what, $text->($before), $text->($current), $text->($now), $say);
        $merged{$_} = $current->{$_} for $fields->@*;
    }
    return \%merged;
}

# The container's own command line, in the property or in LXC's key.
my sub entrypoint ($conf) {
    return $conf->{entrypoint}
        // (map { $_->[1] } grep { $_->[0] eq 'lxc.init.cmd' } ($conf->{lxc} // [])->@*)[-1];
}

my sub without_keys ($conf, $is_dropped) {
    return {
        $conf->%*,
        lxc => [map { [$_->@*] } grep { !$is_dropped->($_->@*) } ($conf->{lxc} // [])->@*]
    };
}

my sub without_entrypoint ($conf) {
    my $copy = without_keys($conf, sub ($key, $value) { $key eq 'lxc.init.cmd' });
    delete $copy->{entrypoint};
    return $copy;
}

# The configuration without what an image put there. The administrator's stop signal and directory
# are left out too, because what an image wants does not depend on them.
my sub plain ($conf, $of_image) {
    my $plain =
        without_keys($conf, sub ($key, $value) { $key =~ /\Alxc\.(?:signal\.halt|init\.cwd)\z/ });
    my $entrypoint = entrypoint($conf);
    return $plain if !defined($entrypoint);
    return without_entrypoint($plain)
        if $entrypoint eq $PVE::LXC::OCI::ImageConfig::INIT_COMMAND
        || $entrypoint eq ($of_image // '');
    return $plain;
}

# What an image wants, as PVE::LXC::OCI::ImageConfig::settings returns it, but without regard to the
# stop signal and directory in $conf. $then are the settings of the image before it.
sub settings ($conf, $config, $rootdir, $then, $warn) {
    return PVE::LXC::OCI::ImageConfig::settings(
        plain($conf, ($then // {})->{own_entrypoint}), $config, $rootdir, $warn,
    );
}

# The same for the image that the container was made from; undef if that is not known any more. Its
# own_entrypoint is the entrypoint that the image alone would give: if the container still has it,
# the administrator has not changed it.
sub settings_then ($conf, $config, $rootdir) {
    return if !defined($config);
    my $of = sub ($plain) {
        return PVE::LXC::OCI::ImageConfig::settings($plain, $config, $rootdir, sub ($line) { });
    };
    return eval {
        my $own = $of->(without_entrypoint(plain($conf, undef)))->{entrypoint};
        return { $of->(plain($conf, $own))->%*, own_entrypoint => $own };
    };
}

# A copy of $conf with what the new image wants in place of what the old one wanted. @unmade are
# directories that could not be made.
sub configuration ($conf, $then, $now, $say, @unmade) {
    my %of_then = map { $_->@* } (($then // {})->{lxc} // [])->@*;
    my %of_now = map { $_->@* } $now->{lxc}->@*;
    my $entrypoint = entrypoint($conf) // '';
    my $merged = without_keys(
        $conf,
        sub ($key, $value) {
            return 0 if !exists($of_then{$key}) && !exists($of_now{$key});
            my $was = $of_then{$key} // '';
            return 1 if $was eq $value;
            my $is = $of_now{$key} // '';
            $say->("$key stays as it was set: '$value'"
                    . ($is eq $was || $is eq $value ? '' : "; the new image's is '$is'"))
                if $value ne $is;
            return 0;
        },
    );
    my $is_images = $entrypoint eq $PVE::LXC::OCI::ImageConfig::INIT_COMMAND
        || $entrypoint eq (($then // {})->{own_entrypoint} // '');
    my %wanted = $now->%*;
    if ($is_images) {
        $merged = without_entrypoint($merged);
    } elsif ($entrypoint ne '') {
        delete $wanted{entrypoint};
    }
    PVE::LXC::OCI::ImageConfig::apply($merged, \%wanted, @unmade);
    delete $merged->{lxc} if !$merged->{lxc}->@* && !$conf->{lxc};
    return $merged;
}

my sub config_in ($rootdir) {
    return scalar(eval { PVE::OCI::Origin::config_of(PVE::OCI::Origin::read_from($rootdir)) });
}

# A copy of $conf with what the image of the tree $new wants in place of what the image of the tree
# $old wanted; undef if it has to stay as it is.
sub new_configuration ($conf, $old, $new, $say) {
    my $config = config_in($new) // return;
    my $then = settings_then($conf, config_in($old), $old);
    my $now = eval { settings($conf, $config, $new, $then, $say) };
    if (!$now) {
        $say->("the container's configuration stays as it is: $@");
        return;
    }
    return configuration($conf, $then, $now, $say, $now->{missing}->@*);
}

1;
