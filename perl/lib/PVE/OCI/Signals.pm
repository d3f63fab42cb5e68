package PVE::OCI::Signals;

# A signal handler that dies can end any statement. Here its exception is kept: it is not lost in an
# eval that only asks whether something works, and it does not end what has to be done after a
# failure, such as waiting until the files of an image are removed.

use v5.36;

# Signals within this many seconds of the first one count as the same request: a double ^C, or a
# SIGINT that timeout(1) sends to the group and to the process. A later one ends the waiting.
our $SAME_REQUEST = 2;

# The signals that ask for an end, and ALRM, which PVE's run_with_timeout uses.
my @NAMES = qw(ALRM HUP INT QUIT TERM);

# What a signal handler has died with, in keep.
our $interrupt;

my sub now () {
    require Time::HiRes; # not above: most calls are not interrupted
    return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
}

# The code of a handler in %SIG: a reference, or a name, which is one of main's unless it says more.
my sub code_of ($handler) {
    return $handler if ref($handler) eq 'CODE';
    return if ($handler // '') =~ /\A(?:|DEFAULT|IGNORE)\z/;
    no strict 'refs';    ## no critic (ProhibitNoStrict): as perl itself
    return \&{ $handler =~ /::|'/ ? $handler : "main::$handler" };
}

# The handlers of @NAMES, with what they die with passed to a function, which may die.
my sub handlers ($on_exception) {
    return map {
        my $code = code_of($_);
        !$code ? $_ // 'DEFAULT' : sub (@arguments) {
            my $exception;
            {
                local $@; # that of the code that is interrupted
                return if eval { $code->(@arguments); 1 };
                $exception = $@;
            }
            $on_exception->($exception);
        };
    } @SIG{@NAMES};
}

# Runs code in which what a handler dies with is not lost, and not changed: an eval would catch it,
# and require would add to its text. Dies with what the handler died with, or with the error of the
# code. Where it can still stop, the code calls check. Of one request only the first signal counts:
# the next ones do not end what is being put in order.
sub keep ($code) {
    local $interrupt;
    my $first;
    local @SIG{@NAMES} = handlers(sub ($exception) {
        my $now = now();
        return if defined($first) && $now - $first < $SAME_REQUEST;
        $first //= $now;
        die $interrupt //= $exception;
    });
    return if eval { $code->(); 1 };
    die $interrupt // $@;
}

sub check () {
    die $interrupt if defined($interrupt);
    return;
}

# Runs code with a guard, in whose attempt alone an exception of a handler ends anything. At the end
# dies with the first of these exceptions, if there was one.
sub guard ($code) {
    my $guard = bless({ may_end => 1, is_open => 0, exceptions => [], times => [] }, __PACKAGE__);
    local @SIG{@NAMES} = handlers(sub ($exception) {
        push $guard->{exceptions}->@*, $exception;
        push $guard->{times}->@*, now();
        return if !$guard->{is_open};
        $guard->@{qw(may_end is_open)} = (0, 0);
        die $exception;
    });
    my $result;
    my $is_done = eval { $result = $code->($guard); 1 };
    my $error = $@;
    die $guard->{exceptions}->[0] if $guard->{exceptions}->@*;
    die $error if !$is_done;
    return $result;
}

# To be called in a child that was forked under the guard. A handler of the caller's that dies would
# take the child to where the caller goes on.
sub forget_handlers ($guard) {
    @SIG{@NAMES} = ('DEFAULT') x @NAMES;
    return;
}

# Runs the code, returns its result and its error. The first exception of a handler ends it, unless
# finish_only was called. Wherever a signal comes, only the code is ended: the handler itself sees
# to it that the next one does not die.
sub attempt ($guard, $code) {
    my ($result, $error);
    eval {
        $guard->{is_open} = $guard->{may_end};
        eval { $result = $code->(); 1 } or $error = $@;
        $guard->{is_open} = 0;
        1;
    } or $error = $@;
    return ($result, $error);
}

# From here on no exception of a handler ends anything by itself.
sub finish_only ($guard) {
    $guard->{may_end} = 0;
    return;
}

# Whether handlers have died again, so long after the first time that it is another request.
sub is_impatient ($guard) {
    my $times = $guard->{times};
    return $times->@* > 1 && $times->[-1] - $times->[0] >= $SAME_REQUEST;
}

1;
