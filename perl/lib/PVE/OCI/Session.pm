package PVE::OCI::Session;

# A session: calls that belong together, such as the steps of an update. They share one embedded
# engine, because starting one takes longer than most steps. Between calls the engine waits, and
# holds nothing open.

use v5.36;

sub new ($class) { return bless({ pid => $$ }, $class) }

# The engine of the call before, if it was started with the same settings.
sub take ($self, $settings) {
    $self->end() if defined($self->{engine}) && $self->{settings} ne $settings;
    return delete $self->{engine};
}

# Takes an engine that has done its call. $end ends it.
sub keep ($self, $engine, $settings, $end) {
    $self->%* = ($self->%*, engine => $engine, settings => $settings, end => $end);
    return;
}

# After this there is no engine; the next call starts one.
sub end ($self) {
    my $engine = delete $self->{engine} // return;
    $self->{end}->($engine);
    return;
}

sub DESTROY ($self) {
    return if $self->{pid} != $$; # a child that was forked meanwhile
    local ($?, $@, $!);
    $self->end();
    return;
}

1;
