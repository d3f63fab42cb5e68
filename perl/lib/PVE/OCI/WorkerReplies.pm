package PVE::OCI::WorkerReplies;

# Checks what an embedded engine sends, as service.WorkerReplies does for the daemon: an engine has
# parsed an image that may be anybody's. Events must be what io.pve.oci.worker says, last replies
# and errors what io.pve.oci says.

use v5.36;

use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

use PVE::OCI::EngineFiles;
use PVE::OCI::Interface;
use PVE::OCI::Text;

# An engine sends about ten events a second, and may catch up after a delay. One that sends far more
# has been taken over. The daemon has the same numbers, in service.WorkerConversation.
my $EVENTS_PER_SECOND = 100;
my $FIRST_EVENTS = 500;

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

my sub event_mismatch ($worker, $reply_type, $state, $event) {
    my $mismatch = PVE::OCI::Interface::mismatch($worker, $worker->{type}->{Event}, $event);
    return $mismatch if defined($mismatch);
    return 'an event that says nothing' if !grep { defined } values $event->%*;
    return if !defined($event->{config});
    # as the daemon passes it on: alone, and only where the method's reply has one
    return 'config' if keys $event->%* > 1 || !$reply_type->[2]->{config};
    return $state->{has_config}++ ? 'config twice' : undef;
}

my sub error_mismatch ($public, $reply) {
    my ($name) = ref($reply->{error}) ? () : ($reply->{error} // '') =~ /\Aio\.pve\.oci\.(\w+)\z/;
    my $type = $public->{error}->{ $name // '' } // return 'error';
    return PVE::OCI::Interface::mismatch($public, $type, $reply->{parameters}, 'error');
}

# An engine of another version may not understand our request.
my sub require_accepted ($reply) {
    my $field = $reply->{parameters}->{parameter};
    return if ($reply->{error} // '') ne 'org.varlink.service.InvalidParameter' || ref($field);
    my $shown = PVE::OCI::Text::clean($field // '');
    PVE::OCI::EngineFiles::fail('WorkerFailed', "worker refuses the request's parameter $shown");
}

# Returns a function for the "check" of a connection of PVE::OCI::Varlink: it takes a frame as a
# hash and returns what is wrong with it, undef if nothing is. It makes the strings of an error safe
# to show, and dies when there are too many events. $method is the request's, one of
# io.pve.oci.worker.
sub checker ($method) {
    my $worker = PVE::OCI::Interface::load('io.pve.oci.worker');
    my $public = PVE::OCI::Interface::load('io.pve.oci');
    my ($name) = $method =~ /(\w+)\z/;
    # CleanRootDirectory is the engine's alone
    my $reply_type = $public->{method}->{$name} // $worker->{method}->{$name};
    my $state = { start => clock_gettime(CLOCK_MONOTONIC), events => 0 };
    return sub ($reply) {
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
            return event_mismatch($worker, $reply_type, $state, $reply->{parameters});
        }
        return PVE::OCI::Interface::mismatch($public, $reply_type, $reply->{parameters});
    };
}

1;
