package PVE::OCI::WorkerReplies;

# Checks what an embedded engine sends, as service.WorkerReplies does for the daemon: an engine has
# parsed an image that may be anybody's. Events must be what io.pve.oci.worker says, last replies
# and errors what io.pve.oci says.

use v5.36;

use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

use PVE::OCI::EngineFiles;
use PVE::OCI::Interface;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

# An engine sends about ten events a second, and may catch up after a delay. One that sends far more
# has been taken over. The daemon has the same numbers, in service.WorkerConversation.
my $EVENTS_PER_SECOND = 100;
my $FIRST_EVENTS = 500;

# What an engine does not decide, as in service.OciErrors.
my %NOT_OF_ENGINES = map { $_ => 1 } qw(
    RootDirectoryInUse InvalidArgument PermissionDenied TooManyJobs NoSuchJob Cancelled
    ShuttingDown WorkerFailed
);

# How deep a reply may nest, as in service.WorkerReplies.
my $MAXIMUM_DEPTH = 80;

# The longest number that jackson reads.
my $MAXIMUM_NUMBER_LENGTH = 400;

# Fields that a last reply must have, as in service.ImageMethod. In io.pve.oci they are optional,
# because replies with progress lack them.
my $REQUIRED = {
    VerifyImage => ['verified'],
    ParseAndExtractImage => ['result', 'config'],
    StageUpdate => ['result', 'config'],
    CompareRootDirectory => ['comparison'],
    CompareWithImage => ['result', 'config', 'comparison'],
};

# Copies a tree of JSON values; each string in the copy is one clean line.
my $cleaned;
$cleaned = sub ($value) {
    return [map { $cleaned->($_) } $value->@*] if ref($value) eq 'ARRAY';
    return { map { PVE::OCI::Text::clean($_) => $cleaned->($value->{$_}) } keys $value->%* }
        if ref($value) eq 'HASH';
    my $is_string = defined($value) && !ref($value) && $value =~ /[^0-9.eE+-]/;
    return $is_string ? PVE::OCI::Text::clean($value) : $value;
};

# Dies when there were too many events for the time since the start of the call.
my sub count_event ($state) {
    my $seconds = int(clock_gettime(CLOCK_MONOTONIC) - $state->{start});
    return if ++$state->{events} <= $FIRST_EVENTS + $EVENTS_PER_SECOND * $seconds;
    PVE::OCI::EngineFiles::fail(
        'WorkerFailed',
        "worker sends more than $EVENTS_PER_SECOND events a second"
    );
}

# Whether a tree of JSON values has more levels.
my $is_deeper;
$is_deeper = sub ($value, $levels) {
    my @items =
          ref($value) eq 'HASH' ? values $value->%*
        : ref($value) eq 'ARRAY' ? $value->@*
        : return 0;
    return 1 if $levels == 0;
    for my $item (@items) {
        return 1 if $is_deeper->($item, $levels - 1);
    }
    return 0;
};

# A number that a double cannot hold would become infinity, which JSON cannot write.
my sub is_out_of_range ($number) {
    return length($number) > $MAXIMUM_NUMBER_LENGTH || $number =~ /[.eE]/ && $number == 9**9**9;
}

# Dies when the frame is JSON for our decoder, but not for everybody. $reply is what it decoded to.
# In Java pve.oci.json.Json refuses the same.
my sub require_readable ($reply, $frame) {
    my $invalid = sub ($what) {
        PVE::OCI::EngineFiles::fail('WorkerFailed', "worker sent no valid reply: $what");
    };
    # surrogates, and what is beyond Unicode; the decoder has refused other malformed sequences
    $invalid->('JSON is not valid UTF-8')
        if $frame =~ /\xed[\xa0-\xbf]|\xf4[\x90-\xbf]|[\xf5-\xff]/;
    $invalid->('JSON nests too deep')
        if $frame =~ tr/[{// > $MAXIMUM_DEPTH && $is_deeper->($reply, $MAXIMUM_DEPTH);
    return if $frame !~ /[0-9][eE]|[0-9.]{300}/;
    $invalid->('invalid JSON: a number is out of the range of 64 bits')
        if grep { is_out_of_range($_) }
        PVE::OCI::Varlink::without_strings($frame) =~ /([0-9][0-9.eE+-]*)/g;
    return;
}

my sub event_mismatch ($worker, $reply_type, $state, $event, $connection) {
    my $mismatch = PVE::OCI::Interface::mismatch($worker, $worker->{type}->{Event}, $event);
    return $mismatch if defined($mismatch);
    return 'an event that says nothing' if !grep { defined } values $event->%*;
    # an engine that only talks is as good as silent
    if (($event->{work} // 0) > $state->{work}) {
        $state->{work} = $event->{work};
        PVE::OCI::Varlink::heard($connection);
    }
    return if !defined($event->{config});
    # as the daemon passes it on: alone, and only where the method's reply has one
    return 'config' if keys $event->%* > 1 || !$reply_type->[2]->{config};
    return $state->{has_config}++ ? 'config twice' : undef;
}

my sub error_mismatch ($public, $reply) {
    my ($name) = ref($reply->{error}) ? () : ($reply->{error} // '') =~ /\Aio\.pve\.oci\.(\w+)\z/;
    my $type = $public->{error}->{ $name // '' };
    return 'error' if !$type || $NOT_OF_ENGINES{$name};
    return PVE::OCI::Interface::mismatch($public, $type, $reply->{parameters}, 'error');
}

# An engine of another version may not understand our request.
my sub require_accepted ($reply) {
    my $field = $reply->{parameters}->{parameter};
    return if ($reply->{error} // '') ne 'org.varlink.service.InvalidParameter' || ref($field);
    my $shown = PVE::OCI::Text::clean($field // '');
    PVE::OCI::EngineFiles::fail('WorkerFailed', "worker refuses the request's parameter $shown");
}

# Returns a function for the "check" of a connection of PVE::OCI::Varlink: it takes a frame, as a
# hash and as text, and returns what is wrong with it, undef if nothing is. It makes the strings of
# an error safe to show. It dies when the text is not JSON for everybody, or when there are too many
# events. The connection hears of signs of life. $method is the request's, one of io.pve.oci.worker.
sub checker ($method) {
    my $worker = PVE::OCI::Interface::load('io.pve.oci.worker');
    my $public = PVE::OCI::Interface::load('io.pve.oci');
    my ($name) = $method =~ /(\w+)\z/;
    # CleanRootDirectory is the engine's alone
    my $reply_type = ($public->{method}->{$name} // $worker->{method}->{$name})->{output};
    my $state = { start => clock_gettime(CLOCK_MONOTONIC), events => 0, work => 0 };
    return sub ($connection, $reply, $frame) {
        require_readable($reply, $frame);
        my $continues = ref($reply->{continues}) && $reply->{continues};
        for my $member (sort keys $reply->%*) {
            my $is_known =
                  $member eq 'parameters' ? ref($reply->{parameters}) eq 'HASH'
                : $member eq 'continues' ? $continues
                : $member eq 'error' ? !$continues
                : 0;
            return $member if !$is_known;
        }
        $reply->{parameters} //= {};
        if (exists($reply->{error})) {
            require_accepted($reply);
            my $mismatch = error_mismatch($public, $reply);
            $reply->{parameters} = $cleaned->($reply->{parameters}) if !defined($mismatch);
            return $mismatch;
        }
        if ($continues) {
            count_event($state);
            my $event = $reply->{parameters};
            return event_mismatch($worker, $reply_type, $state, $event, $connection);
        }
        my $parameters = $reply->{parameters};
        my ($missing) = grep { !defined($parameters->{$_}) } ($REQUIRED->{$name} // [])->@*;
        return PVE::OCI::Interface::mismatch($public, $reply_type, $parameters)
            // (defined($missing) ? "no $missing" : undef);
    };
}

1;
