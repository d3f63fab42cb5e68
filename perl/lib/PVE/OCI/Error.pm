package PVE::OCI::Error;

# What the functions of PVE::OCI die with: an object with the fields name, message and parameters
# that is its message, with a line break, wherever a string is wanted. So callers who print $@ or
# match it need not know of the object.

use v5.36;

use overload
    '""' => sub ($self, @) { return "$self->{message}\n" },
    'bool' => sub (@) { return 1 },
    'fallback' => 1;

use PVE::OCI::Text;

my $last;

# Dies with a new error, its message made one clean line.
sub throw ($class, $name, $message, $parameters = {}) {
    my $line = PVE::OCI::Text::one_line($message);
    $last = bless({ name => $name, message => $line, parameters => $parameters }, $class);
    die $last;
}

# The error itself if this is one of ours, otherwise undef.
sub caught ($error) {
    return ref($error) eq __PACKAGE__ ? $error : undef;
}

# For PVE::OCI::last_error, until that goes away: the error that was thrown last, and what forgets
# it.
sub last () { return $last; }
sub forget () { undef $last; return; }

1;
