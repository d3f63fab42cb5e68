package PVE::OCI::CLI::UpdateCommand;

# The verbs diff, update, rollback and outdated: of root file systems, or of containers by VMID
# where the modules of Proxmox VE are installed.

use v5.36;

use PVE::LXC::OCI::Update;
use PVE::OCI::Error;
use PVE::OCI::RootUpdate;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

# How many changes are listed before the error that they cause.
my $MOST_LISTED = 100;

my $LETTERS = { added => 'A', changed => 'C', removed => 'D' };

my sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub bytes ($text) {
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

# A target of digits only is a container. An option that would have no effect is refused, because
# whoever gives it relies on it.
my sub on ($target, $action, $options) {
    if ($target !~ /\A[0-9]+\z/) {
        invalid("--snapshot needs a VMID: '$target' is a directory")
            if defined($options->{snapshot});
        return PVE::LXC::OCI::Update::on_rootfs($action, bytes($target), $options);
    }
    invalid(  '--uidmap, --gidmap and --privileged are for a directory: the configuration of'
            . " container $target has its ID map")
        if defined($options->{id_map});
    invalid(  "$target would be a container of Proxmox VE, which is not installed here;"
            . " for a directory of this name write ./$target")
        if !eval { require PVE::LXC; require PVE::LXC::Config; 1 };
    return PVE::LXC::OCI::Update::on_container($action, $target, $options);
}

# "999:70" => [999, 70], "g:999:70" => [999, 70, 'g']
my sub owner_pairs ($texts) {
    return [
        map { [
            /\A(?:([ug]):)?([0-9]{1,10}):([0-9]{1,10})\z/
            ? ($2, $3, $1 // ())
            : invalid(
                "'$_' is not OLD:NEW, u:OLD:NEW or g:OLD:NEW with the numbers of users or groups")
        ] } $texts->@*
    ];
}

my sub prepared ($options) {
    my %prepared = $options->%*;
    # as diff shows them
    $prepared{keep} = [map { PVE::OCI::RootUpdate::path_bytes($_) } $options->{keep}->@*]
        if $options->{keep};
    for my $path (($prepared{keep} // [])->@*) {
        invalid("--keep: '$path' is not an absolute path in the container") if $path !~ m{\A/};
    }
    $prepared{chown} = owner_pairs($options->{chown}) if $options->{chown};
    return \%prepared;
}

my sub change_line ($change) {
    my $differences = ref($change->{differences}) eq 'ARRAY' ? $change->{differences} : [];
    my $path = ($change->{path} // '')
        . ($change->{isDirectory} && $change->{kind} ne 'changed' ? '/' : '');
    my $what = $differences->@* ? ' (' . join(', ', $differences->@*) . ')' : '';
    return PVE::OCI::Text::one_line(($LETTERS->{ $change->{kind} // '' } // '?') . " $path$what")
        . "\n";
}

my sub change_lines ($comparison, $wants_expected, $most = undef) {
    my @changes = $comparison->{changes}->@*;
    my @own = grep { !defined($_->{expected}) } @changes;
    $#own = $most - 1 if defined($most) && @own > $most;
    my $text = join('', map { change_line($_) } @own);
    my $unlisted = $comparison->{added} + $comparison->{changed} + $comparison->{removed} - @own;
    my $where = defined($most) && $unlisted > 0 ? ", see 'pve-oci diff'" : '';
    $text .= "and $unlisted more$where\n" if $unlisted > 0;
    return $text if !$wants_expected;
    for my $reason (
        [kept => 'kept paths and volumes'], [host => 'written by Proxmox VE or LXC'],
        [temporary => 'temporary']
    ) {
        my ($name, $title) = $reason->@*;
        my @expected = grep { ($_->{expected} // '') eq $name } @changes;
        $text .=
            ($text eq '' ? '' : "\n") . "$title:\n" . join('', map { change_line($_) } @expected)
            if @expected;
    }
    return $text;
}

# Lists the changes that make an update fail, before the error.
my sub listing ($code) {
    my $reply = eval { $code->() };
    return $reply if defined($reply);
    my $error = $@;
    my $caught = PVE::OCI::Error::caught($error);
    my $comparison = $caught ? $caught->{parameters}->{comparison} : undef;
    print STDERR change_lines($comparison, 0, $MOST_LISTED)
        if ref($comparison) eq 'HASH' && ref($comparison->{changes}) eq 'ARRAY';
    die $error;
}

sub diff ($arguments, $options) {
    return on($arguments->[0], 'compare', prepared($options));
}

sub is_changed ($reply) {
    my $comparison = $reply->{comparison};
    return $comparison->{added} + $comparison->{changed} + $comparison->{removed} > 0;
}

sub diff_text ($reply, $given) {
    my $text = change_lines($reply->{comparison}, $given->{all});
    $text .= "an update is not finished: $reply->{pending}\n" if defined($reply->{pending});
    return $text;
}

sub update ($arguments, $options) {
    my ($target, $archive) = $arguments->@*;
    my $prepared = prepared($options);
    if ($options->{forget}) {
        invalid('--forget takes no ARCHIVE') if defined($archive);
        for my $name (qw(authfile base chown discard-changes dry-run keep pull snapshot)) {
            invalid("--forget excludes --$name") if defined($options->{ $name =~ tr/-/_/r });
        }
        return on($target, 'forget', $prepared);
    }
    if ($options->{pull}) {
        $prepared->{reference} = $archive if defined($archive);
    } else {
        invalid('ARCHIVE is missing; --pull fetches the image from where the old one came')
            if !defined($archive);
        $prepared->{archive} = $archive;
    }
    return listing(sub { on($target, 'update', $prepared) });
}

sub rollback ($arguments, $options) {
    return listing(sub { on($arguments->[0], 'rollback', prepared($options)) });
}

my sub image_name ($image) {
    my $digest = $image->{manifestDigest} // '';
    my $name = $image->{referenceName} // '';
    return $name eq '' ? $digest : $digest eq '' ? $name : "$name ($digest)";
}

my sub plan_text ($reply, $given) {
    my $comparison = $reply->{comparison};
    my $count = $comparison->{added} + $comparison->{changed} + $comparison->{removed};
    my @lines = ('this would be done:', 'the new image is ' . image_name($reply->{to}));
    push @lines, 'these paths stay: ' . join(' ', $reply->{volumes}->@*) if $reply->{volumes}->@*;
    push @lines,
        'it takes about '
        . PVE::OCI::Text::size($reply->{requiredSize}) . ', '
        . PVE::OCI::Text::size($reply->{availableSize})
        . ' are free'
        if defined($reply->{requiredSize}) && defined($reply->{availableSize});
    my $text = join('', map { PVE::OCI::Text::one_line($_) . "\n" } @lines);
    return $text . "nothing was changed by hand: the update can be done\n" if !$count;
    my $what =
        $given->{'discard-changes'}
        ? 'these changes move to the earlier tree:'
        : 'these changes stop the update, unless --keep or --discard-changes is given:';
    return "$text$what\n" . change_lines($comparison, 0);
}

sub text ($reply, $given) {
    return plan_text($reply, $given) if $reply->{state} eq 'planned';
    my @lines = ($reply->{messages} // [])->@*;
    my $to = image_name($reply->{to} // {});
    push @lines, $reply->{state} . ($to eq '' ? '' : " to $to");
    push @lines, 'kept: ' . join(' ', $reply->{kept}->@*) if ($reply->{kept} // [])->@*;
    push @lines,
        "the old system stays until the next update: 'pve-oci rollback' brings it back,"
        . " 'pve-oci update --forget' removes it"
        if $reply->{state} eq 'updated';
    return join('', map { PVE::OCI::Text::one_line($_) . "\n" } @lines);
}

# If one target cannot be checked, the others still are.
sub outdated ($arguments, $options) {
    my @targets = $arguments->@*;
    if (!@targets) {
        invalid('ROOTFS is missing; without Proxmox VE there is no list of containers')
            if !eval { require PVE::LXC; 1 };
        @targets = sort { $a <=> $b } keys PVE::LXC::config_list()->%*;
    }
    my @images;
    for my $target (@targets) {
        my $state = eval { on($target, 'outdated', $options) };
        my $error = $@;
        die $error if !$state && $error eq "interrupted\n";
        push @images, {
            target => $target,
            $state
            ? (
                reference => $state->{reference}, recorded => $state->{recorded},
                current => $state->{current},
                state => $state->{isCurrent} ? 'up to date' : 'newer image',
                )
            : (state => 'unknown: ' . PVE::OCI::Text::one_line("$error")),
        };
    }
    return { images => \@images };
}

1;
