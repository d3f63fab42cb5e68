package PVE::OCI::Session;

# A session: calls that belong together, such as the steps of an update. They share one embedded
# engine, or one connection to the daemon, which then lets one worker do the steps: starting an
# engine or a worker takes longer than most of them. Between calls the engine waits, and holds
# nothing open.

use v5.36;

sub new ($class) { return bless({ pid => $$ }, $class) }

# The engine or connection of the call before, if it was kept under this name.
sub take ($self, $name) {
    $self->end() if defined($self->{kept}) && $self->{name} ne $name;
    return delete $self->{kept};
}

# Takes an engine or a connection that has done its call. $end ends it.
sub keep ($self, $kept, $name, $end) {
    $self->%* = ($self->%*, kept => $kept, name => $name, end => $end);
    return;
}

# After this there is none; the next call starts one.
sub end ($self) {
    my $kept = delete $self->{kept} // return;
    $self->{end}->($kept);
    return;
}

sub DESTROY ($self) {
    return if $self->{pid} != $$; # a child that was forked meanwhile
    local ($?, $@, $!);
    $self->end();
    return;
}

1;
