package PVE::LXC::OCI::UpdateSteps;

# Updating, taking back, comparing: what PVE::LXC::OCI::Update does with a root file system that is
# mounted and that nothing runs in. A place is such a root file system:
#
#     rootdir    its path
#     id_maps    as PVE::LXC::parse_id_maps returns them
#     messages   lines for the administrator are added here
#     conf       the container's configuration; missing for a root file system without one
#     write      takes a changed configuration
#     session    a PVE::OCI::Session for the steps, if they are to share an engine or a worker
#     lock       a handle of the root directory that holds its lock, for steps that change it
#     environment  a list of what environment_of has found, once it has looked
#
# If a call is interrupted, by an error, a signal or a power cut, the next call for the same place
# puts it in order: an update whose trees were not exchanged is taken back, any other is finished.

use v5.36;

use PVE::OCI;
use PVE::OCI::Env;
use PVE::OCI::Error;
use PVE::OCI::Origin;
use PVE::OCI::RootUpdate;
use PVE::OCI::Rootfs;
use PVE::OCI::Signals;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

# Where the engine has the trees, below the root directory.
my $NEW_TREE = '.pve.oci.update/new';
my $OUT_TREE = '.pve.oci.update/old';
my $PREVIOUS_TREE = '.pve.oci.previous/old';

my $REMAINS =
      'warning: /.pve.oci.removed holds files of an earlier tree that the container\'s root'
    . ' cannot remove, because they belong to nobody in the container, are immutable, or lie in a'
    . ' read-only subvolume: remove it';

# Options that the calls to the engine get as they are.
my @CALL_OPTIONS = qw(
    bwlimit home java max_bytes max_entries mode on_abort on_fallback on_job on_warning progress
    socket
);
my @SELECTOR = qw(architecture manifest_digest reference_name variant);

my sub some ($options, @names) {
    return map { $_ => $options->{$_} } grep { defined($options->{$_}) } @names;
}

my sub say_line ($place, $line) {
    push $place->{messages}->@*, PVE::OCI::Text::one_line($line);
    return;
}

my sub engine_options ($place, $options) {
    my @given = (some($options, @CALL_OPTIONS), some($place, 'session'));
    return { @given, id_map => $place->{id_maps}->[0] };
}

# Runs a step of ApplyUpdate. It has no progress, because it only moves names.
my sub apply ($place, $step, $options) {
    my $call_options = engine_options($place, $options);
    delete $call_options->{progress};
    my $state = PVE::OCI::RootUpdate::apply_update($step, $place->{lock}, $call_options);
    say_line($place, $REMAINS)
        if $state->{hasRemains} && !grep { $_ eq $REMAINS } $place->{messages}->@*;
    return $state;
}

# Paths that the administrator wants to be kept. They are remembered: what was kept once is kept by
# the next update too.
my sub asked_paths ($origin, $options) {
    my %seen;
    return grep { !$seen{$_}++ } ($options->{keep} // [])->@*,
        PVE::OCI::RootUpdate::remembered_paths($origin);
}

# These paths, and the volumes of the images.
my sub wanted_paths ($origin, $options, @configs) {
    my @volumes =
        map { PVE::OCI::Origin::volumes_of($_) } PVE::OCI::Origin::config_of($origin), @configs;
    my %seen;
    return [grep { !$seen{$_}++ } asked_paths($origin, $options), @volumes];
}

# What /.pve.init starts now; undef if it starts nothing.
my sub environment_of ($place) {
    $place->{environment} //= [scalar(eval { PVE::OCI::Env::read_from($place->{rootdir}) })];
    return $place->{environment}->[0];
}

# With what the image in one tree wants, in place of what the one in the other tree wanted.
my sub write_configuration ($place, $old, $new) {
    my $conf = $place->{conf} // return;
    require PVE::LXC::OCI::Merge; # not above: only containers need it
    my $say = sub ($line) { say_line($place, $line) };
    my $changed = PVE::LXC::OCI::Merge::new_configuration($conf, $old, $new, $say) // return;
    $place->{write}->($changed);
    return;
}

my sub change_owners ($place, $options, @paths) {
    my $pairs = $options->{chown} // [];
    return if !$pairs->@*;
    require PVE::LXC::OCI::Ownership; # not above: few updates need it
    say_line($place, $_) for PVE::LXC::OCI::Ownership::change($place, $pairs, @paths);
    return;
}

# Puts in order what an interrupted call has left, when an update was begun. Returns whether the
# tree of an update is now in place; the configuration may still be the old one then.
my sub settle ($place, $options) {
    my $state = apply($place, 'abandon', $options);
    return 0 if ($state->{pending} // '') ne 'switched';
    say_line(
        $place,
        'an earlier call was interrupted when the new image was in place: finishing the update'
    );
    write_configuration($place, "$place->{rootdir}//$OUT_TREE", $place->{rootdir});
    apply($place, 'finish', $options);
    return 1;
}

# The record of the old image, from its archive.
my sub record_base ($place, $options) {
    my %engine = (engine_options($place, $options)->%*, some($options, @SELECTOR));
    delete @engine{qw(manifest_digest reference_name)};
    PVE::OCI::RootUpdate::stage_update(
        $options->{base}, $place->{lock}, { %engine, discard_changes => 1, keep => [] },
    );
    my $is_there =
        eval { PVE::OCI::RootUpdate::take_staged_record($place->{rootdir}, $options->{base}); 1 };
    my $error = $@;
    apply($place, 'abandon', $options);
    die $error if !$is_there;
    return;
}

# Puts into the new tree what starts it, and where it came from.
my sub prepare ($place, $reply, $origin, $options) {
    my ($id_maps, $new) = ($place->{id_maps}, "$place->{rootdir}//$NEW_TREE");
    my ($config, $result) = $reply->@{qw(config result)};
    if ($place->{conf} || environment_of($place)) {
        require PVE::LXC::OCI::Preparation; # not above: only containers need it
        my $has_made = PVE::LXC::OCI::Preparation::prepare(
            $place, $new, $reply, $origin, environment_of($place), $options,
            sub ($line) { say_line($place, $line) },
        );
        apply($place, 'record', $options) if $has_made;
    }
    my $new_origin = PVE::OCI::Origin::make($result, $config);
    PVE::OCI::Origin::add_history($new_origin, $origin) if $origin;
    my @keep = asked_paths($origin, $options);
    $new_origin->{keep} = [map { PVE::OCI::RootUpdate::path_text($_) } @keep] if @keep;
    PVE::OCI::Origin::write_to($new, $new_origin, $id_maps->@[1, 2]);
    return;
}

# Takes everything back after an error, which may be that of a signal handler between two steps.
my sub give_up ($place, $options, $error) {
    eval {
        my $is_begun = PVE::OCI::RootUpdate::is_begun($place->{rootdir});
        my $state = $is_begun ? apply($place, 'abandon', $options) : {};
        apply($place, 'rollBack', $options) if ($state->{pending} // '') eq 'switched';
        1;
    } or say_line($place, "the update is not taken back, the next call does it: $@");
    die $error;
}

# Exchanges the trees, writes the configuration and finishes. An error takes everything back until
# the configuration has been written.
my sub switch_over ($place, $reply, $origin, $options) {
    my $is_switched;
    my $is_done = eval {
        prepare($place, $reply, $origin, $options);
        PVE::OCI::Signals::check(); # from here on it would be too late
        apply($place, 'switch', $options);
        $is_switched = 1;
        write_configuration($place, "$place->{rootdir}//$OUT_TREE", $place->{rootdir});
        1;
    };
    if (!$is_done) {
        my $error = $@;
        # a signal may have come when it was written; until the tree is back, the next call finishes
        eval { $place->{write}->($place->{conf}) if $is_switched && $place->{conf}; 1 }
            or say_line($place, "the configuration is not written back: $@");
        give_up($place, $options, $error);
    }
    $is_done = eval {
        change_owners($place, $options, $reply->{kept}->@*);
        apply($place, 'finish', $options);
        1;
    };
    if (!$is_done) {
        my $error = $@;
        say_line($place, 'the new image is in place; the next call finishes the update');
        die $error;
    }
    return;
}

my sub identity ($origin) {
    return { some($origin // {}, qw(manifestDigest referenceName created)) };
}

# Returns what an update would do. Nothing is changed.
my sub plan ($place, $inspected, $origin, $options) {
    my $keep = wanted_paths($origin, $options, $inspected->{config});
    my $compared = PVE::OCI::RootUpdate::compare_root_directory(
        $place->{rootdir}, { engine_options($place, $options)->%*, keep => $keep },
    );
    return {
        state => 'planned',
        from => identity($origin),
        comparison => $compared->{comparison},
        pending => $compared->{pending},
        volumes => $keep,
        requiredSize => $inspected->{uncompressedSize},
        availableSize => $compared->{availableSize},
    };
}

# Stages the new tree. Explains the errors about the record: without it nobody knows what was
# changed, and the container's root can damage it.
my sub stage ($place, $archive, $keep, $options) {
    my $call_options = {
        engine_options($place, $options)->%*, some($options, @SELECTOR, 'discard_changes'),
        keep => $keep,
    };
    # before the first layer is read
    $call_options->{on_config} = \&PVE::OCI::check_config
        if $place->{conf} || environment_of($place);
    my $reply =
        eval { PVE::OCI::RootUpdate::stage_update($archive, $place->{lock}, $call_options) };
    return $reply if $reply;
    my $error = $@;
    my $caught = PVE::OCI::Error::caught($error);
    die $error if !$caught || $caught->{name} !~ /\Aio\.pve\.oci\.(?:NoRecord|RecordDamaged)\z/;
    PVE::OCI::Error->throw(
        $caught->{name},
        "$caught->{message}: --base ARCHIVE makes it from the archive of the image that is"
            . ' there now, --discard-changes goes on without it',
        $caught->{parameters},
    );
}

# Finishes what an earlier call with the same image has begun.
my sub finished ($place, $origin, $to, $options) {
    change_owners($place, $options, PVE::OCI::RootUpdate::kept_before($place->{rootdir}));
    my $before = PVE::OCI::Origin::read_from("$place->{rootdir}//$PREVIOUS_TREE");
    return {
        state => 'updated',
        from => identity($before),
        to => { $to->%*, some($origin, 'referenceName') },
    };
}

# Whether an update was begun, and where the image came from. One process looks at both.
my sub begun_and_origin ($rootdir) {
    return PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub { [PVE::OCI::RootUpdate::is_begun_inside(), PVE::OCI::Origin::read_inside()] },
    )->@*;
}

# Returns { state, from, to, kept, messages, ... }.
sub update ($place, $archive, $options) {
    my ($is_begun, $origin) = begun_and_origin($place->{rootdir});
    my $is_settled = 0;
    if ($is_begun && !$options->{dry_run}) {
        $is_settled = settle($place, $options);
        $origin = PVE::OCI::Origin::read_from($place->{rootdir});
    }
    if ($options->{dry_run} || $is_settled) {
        my $inspected =
            PVE::OCI::inspect_image($archive, { some($options, @CALL_OPTIONS, @SELECTOR) });
        my $to = { manifestDigest => $inspected->{manifest}->{digest} };
        return { plan($place, $inspected, $origin, $options)->%*, to => $to }
            if $options->{dry_run};
        # a second update to the same image would remove the earlier tree
        return finished($place, $origin, $to, $options)
            if ($origin->{manifestDigest} // '') eq $to->{manifestDigest};
    }
    record_base($place, $options) if defined($options->{base});
    # the engine adds the volumes of the new image
    my $reply = eval { stage($place, $archive, wanted_paths($origin, $options), $options) }
        // give_up($place, $options, $@);
    switch_over($place, $reply, $origin, $options);
    return {
        state => 'updated',
        from => identity($origin),
        to => { some($reply->{result}, qw(manifestDigest referenceName)) },
        kept => $reply->{kept},
        result => $reply->{result},
    };
}

my sub refuse_changes ($place, $options) {
    my @keep = (
        wanted_paths(PVE::OCI::Origin::read_from($place->{rootdir}), $options)->@*,
        PVE::OCI::RootUpdate::kept_before($place->{rootdir}),
    );
    my $compared = PVE::OCI::RootUpdate::compare_root_directory(
        $place->{rootdir}, { engine_options($place, $options)->%*, keep => \@keep },
    );
    my $comparison = $compared->{comparison};
    my $count = $comparison->{added} + $comparison->{changed} + $comparison->{removed};
    return if !$count;
    PVE::OCI::Varlink::fail(
        'io.pve.oci.RootDirectoryChanged',
        "$count entries were changed since the update: going back would lose them,"
            . ' --discard-changes says that it may',
        { comparison => $comparison },
    );
}

my sub rolled_back ($place, $options, $from, @kept) {
    change_owners($place, $options, @kept);
    return {
        state => 'rolled back',
        from => identity($from),
        to => identity(PVE::OCI::Origin::read_from($place->{rootdir})),
    };
}

# After an error in the middle: true if the tree is back all the same. If it is not on its way back
# yet, the update is finished again, with its configuration.
my sub is_back_after ($place, $options, $error) {
    my $state = eval { apply($place, 'abandon', $options) } // return 0;
    if (($state->{pending} // '') ne 'switched') {
        say_line($place, "the rollback was interrupted, and is finished now: $error");
        return 1;
    }
    my $is_whole = eval { apply($place, 'finish', $options); 1 };
    $place->{write}->($place->{conf}) if $place->{conf} && $is_whole;
    return 0;
}

# The configuration is written before the tree comes back, and until then the update counts as not
# finished. So after an interrupted call, another rollback goes on, and an update puts the
# configuration right again.
sub roll_back ($place, $options) {
    my $rootdir = $place->{rootdir};
    my $is_begun = PVE::OCI::RootUpdate::is_begun($rootdir);
    my $kept = [PVE::OCI::RootUpdate::kept_before($rootdir)];
    my $from = PVE::OCI::Origin::read_from($rootdir);
    my $state = apply($place, 'abandon', $options);
    my $is_unfinished = ($state->{pending} // '') eq 'switched';
    if ($is_begun && !$is_unfinished) {
        # whoever wants one more step back says so
        my $more = $state->{hasPrevious} ? '; another rollback goes back to the one before it' : '';
        say_line($place, "an earlier call was interrupted and is taken back$more");
        return rolled_back($place, $options, undef, $kept->@*);
    }
    PVE::OCI::Varlink::fail(
        'io.pve.oci.NothingToRollBack',
        'there is no earlier tree: nothing was updated, or it was rolled back or removed since',
    ) if !$is_unfinished && !$state->{hasPrevious};
    refuse_changes($place, $options) if !$options->{discard_changes};
    my $is_reopened;
    my $is_back = eval {
        apply($place, 'reopen', $options);
        $is_reopened = 1;
        write_configuration($place, $rootdir, "$rootdir//$OUT_TREE");
        apply($place, 'rollBack', $options);
        1;
    };
    if (!$is_back) {
        my ($error, $is_ours) = ($@, PVE::OCI::Error::caught($@));
        die $error if !$is_reopened && ($is_ours || !PVE::OCI::RootUpdate::is_begun($rootdir));
        # who interrupts this wants no more of it
        die $error if !is_back_after($place, $options, $error) || !$is_ours;
    }
    return rolled_back($place, $options, $from, $kept->@*);
}

sub forget ($place, $options) {
    settle($place, $options) if PVE::OCI::RootUpdate::is_begun($place->{rootdir});
    apply($place, 'forget', $options);
    return { state => 'forgotten' };
}

# With the record, or with the image itself.
sub compare ($place, $options) {
    my ($rootdir, $archive) = ($place->{rootdir}, $options->{checksum});
    my $keep = wanted_paths(PVE::OCI::Origin::read_from($rootdir), $options);
    my %call_options = (engine_options($place, $options)->%*, keep => $keep);
    return PVE::OCI::RootUpdate::compare_root_directory($rootdir, \%call_options)
        if !defined($archive);
    return PVE::OCI::RootUpdate::compare_with_image(
        $archive, $place->{lock}, { %call_options, some($options, @SELECTOR) },
    );
}

1;
