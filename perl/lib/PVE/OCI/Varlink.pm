package PVE::OCI::Varlink;

# The client's half of the varlink protocol: JSON frames that end with NUL over a Unix stream
# socket, file descriptors by SCM_RIGHTS. Knows nothing of images; PVE::OCI and PVE::OCI::Embedded
# use it.
#
# Safe under taint mode. No objects: a connection is a hash of the socket and the bytes read ahead.

use v5.36;

use Errno qw(EINTR);

use PVE::OCI::Error;
use PVE::OCI::Signals;

# Well above the largest reply. The daemon takes frames of up to 13 MiB from its workers
# (pve.oci.service.Worker) and passes them on.
our $MAX_REPLY_SIZE = 33 * 1024 * 1024;

# After a call was aborted we wait for the daemon until it is silent for this many seconds. While it
# removes what the job made, it sends progress every few seconds.
our $ABORT_SILENCE = 30;

# While we wait, we look every so many seconds whether the user still wants that.
my $LOOK_INTERVAL = 0.2;

# How many seconds the daemon may take to accept a connection before descriptors are passed.
my $ACCEPT_PATIENCE = 20;

# The module JSON makes the same choice, but takes longer to load than everything else here.
my $JSON = eval { require JSON::XS; 'JSON::XS' } // do { require JSON::PP; 'JSON::PP' };

# From socket(2), send(2), unix(7) and shutdown(2), the same on each architecture of $SENDMSG. The
# module Socket takes as long to load as JSON::XS and this one together.
my $PF_UNIX = 1;
my $SOCK_STREAM = 1;
my $SOL_SOCKET = 1;
my $SCM_RIGHTS = 1;
my $SHUT_WR = 1;
my $MSG_NOSIGNAL = 0x4000;

my $READ_SIZE = 64 * 1024;
my $DAEMON = 'pve-ocid';
my $MAXIMUM_CALL_SIZE = 64 * 1024; # of root: pve.oci.varlink.VarlinkServer
my $MAX_SOCKET_PATH = 107;         # sockaddr_un.sun_path, less the NUL

# The number of sendmsg(2), by the first part of $Config{archname}.
my $SENDMSG = { x86_64 => 46, aarch64 => 211, riscv64 => 211 };

# A new encoder and decoder, with the methods of JSON::XS.
sub json () { return $JSON->new }

# Dies with an error object.
sub fail ($name, $message, $parameters = {}) {
    PVE::OCI::Error->throw($name, $message, $parameters);
}

my sub untaint_socket_path ($path) {
    my ($clean) = $path =~ m{\A(/[A-Za-z0-9_./+:\@=,-]+)\z}
        or
        fail('InvalidArgument', "socket path '$path' is not an absolute path of plain characters");
    fail('InvalidArgument', "socket path '$path' is longer than $MAX_SOCKET_PATH bytes")
        if length($clean) > $MAX_SOCKET_PATH;
    return $clean;
}

# A connection by a socket that is connected; $peer is its other end, for messages. Its user may set
# patience, the seconds that the other end may go without a sign of life; maximum_values, the values
# that a reply may hold; and check, a function that gets the connection, each reply as a hash, and
# its frame, and returns what is wrong with it. With patience, check calls heard for a sign of life,
# and on_wait is a function that is called while there is nothing to read; it may die.
sub make_connection ($socket, $peer) {
    return { socket => $socket, peer => $peer, buffer => '', scanned => 0 };
}

# Connects to the socket at $path; returns the connection.
sub connect_socket ($path) {
    $path = untaint_socket_path($path);
    my ($socket, $is_connected);
    do {
        $is_connected = socket($socket, $PF_UNIX, $SOCK_STREAM, 0)
            && connect($socket, pack('S a108', $PF_UNIX, $path)); # struct sockaddr_un
    } while (!$is_connected && $! == EINTR);
    if (!$is_connected) {
        my ($errno_name) = grep { $!{$_} } qw(ENOENT ECONNREFUSED EACCES EPERM);
        my $parameters = { path => $path, errno => $! + 0, errnoName => $errno_name };
        fail('ConnectFailed', "cannot connect to pve-ocid at '$path': $!", $parameters);
    }
    return make_connection($socket, $DAEMON);
}

# EPIPE is no error here: the daemon may have answered before it hung up, so the reply is read
# first.
my sub send_all ($connection, $bytes) {
    my $offset = 0;
    while ($offset < length($bytes)) {
        my $sent = send($connection->{socket}, substr($bytes, $offset), $MSG_NOSIGNAL);
        if (defined($sent)) {
            $offset += $sent;
        } elsif ($!{EPIPE} || $!{ECONNRESET}) {
            return;
        } elsif (!$!{EINTR}) {
            fail('ConnectionLost', "connection to $connection->{peer} lost while sending: $!");
        }
    }
    return;
}

# Sends one byte with the descriptors. Only this byte goes through syscall(), which would refuse the
# tainted paths in the rest of the frame.
my sub send_with_descriptors ($connection, $byte, $descriptors) {
    require Config;       # not above, as few calls need it; the same holds for Time::HiRes
    no warnings qw(once); # the compiler does not see that Config has this hash
    my ($machine) = $Config::Config{archname} =~ /^([a-z0-9_]+)/;
    my $number = $SENDMSG->{$machine}
        // fail('Unsupported', "cannot pass file descriptors on '$machine'");
    my @fds = map { /\A([0-9]+)\z/ ? $1 + 0 : fail('InvalidArgument', 'no file descriptor') }
        $descriptors->@*;
    # struct cmsghdr { size_t cmsg_len; int cmsg_level; int cmsg_type; } and its data, int[];
    # cmsg_len counts the 16 bytes of the header, the whole is padded to 8 bytes
    my $control = pack('Q l l l*', 16 + 4 * @fds, $SOL_SOCKET, $SCM_RIGHTS, @fds);
    $control .= "\0" x (-length($control) % 8);
    # struct iovec { void *iov_base; size_t iov_len; }
    my $iov = pack('P Q', $byte, 1);
    # struct msghdr of a 64 bit Linux {
    #     void *msg_name; socklen_t msg_namelen; (4 bytes of padding)
    #     struct iovec *msg_iov; size_t msg_iovlen;
    #     void *msg_control; size_t msg_controllen;
    #     int msg_flags; (4 bytes of padding)
    # }
    my $message = pack('Q L x4 P Q P Q l x4', 0, 0, $iov, 1, $control, length($control), 0);
    my $socket_fd = fileno($connection->{socket}) + 0;
    require Time::HiRes;
    my ($sent, $end) = (undef, Time::HiRes::time() + $ACCEPT_PATIENCE);
    while (($sent = syscall($number, $socket_fd, $message, $MSG_NOSIGNAL)) < 0) {
        next if $!{EINTR};
        # a daemon whose socket lets others in takes descriptors once it knows that we are root
        last if !$!{EPERM} || $> != 0 || Time::HiRes::time() > $end;
        Time::HiRes::sleep(0.01);
    }
    # the error that the daemon would have answered with
    fail(
        'io.pve.oci.PermissionDenied',
        "$connection->{peer} reads files for root only; others use the embedded engine"
            . ' (pve-oci --embedded)'
    ) if $sent != 1 && $!{EPERM} && $> != 0;
    fail('ConnectionLost', "cannot pass file descriptors to $connection->{peer}: $!")
        if $sent != 1;
    return;
}

my sub send_call ($connection, $method, $parameters, $options) {
    my $call = { method => $method, parameters => $parameters };
    $call->{more} = \1 if $options->{more};
    my $frame = json()->utf8->canonical->encode($call) . "\0";
    # it would hang up without a word
    my $size = length($frame);
    fail(
        'InvalidArgument',
        "the call has $size bytes, and $connection->{peer} takes $MAXIMUM_CALL_SIZE: too many paths"
            . ' are to be kept, or the image has too many volumes; the embedded engine takes more'
            . ' (pve-oci --embedded)'
    ) if $size > $MAXIMUM_CALL_SIZE && $connection->{peer} eq $DAEMON;
    if (my @descriptors = ($options->{descriptors} // [])->@*) {
        my $first = '{';
        send_with_descriptors($connection, $first, \@descriptors);
        $frame = substr($frame, 1);
    }
    send_all($connection, $frame);
    return;
}

my sub now () {
    require Time::HiRes;
    return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
}

# The other end has given a sign of life.
sub heard ($connection) {
    $connection->{heard} = now();
    return;
}

# Waits until there is something to read, at most until $connection->{patience} seconds after the
# last sign of life. What has come by then is read, because this process may have been stopped.
my sub await_bytes ($connection) {
    my $deadline = $connection->{heard} + $connection->{patience};
    while (1) {
        my $rest = $deadline - now();
        my $pause = $rest < 0 ? 0 : $rest;
        if ($connection->{on_wait}) {
            $connection->{on_wait}->();
            $pause = $LOOK_INTERVAL if $pause > $LOOK_INTERVAL;
        }
        vec(my $readable = '', fileno($connection->{socket}), 1) = 1;
        return if select($readable, undef, undef, $pause) > 0;
        last if $rest <= 0;
    }
    fail(
        'Silence',
        "$connection->{peer} gave no sign of life for $connection->{patience} s"
    );
}

# Returns the next frame without its NUL.
my sub read_frame ($connection) {
    while (1) {
        my $end = index($connection->{buffer}, "\0", $connection->{scanned});
        if ($end >= 0) {
            my $frame = substr($connection->{buffer}, 0, $end);
            substr($connection->{buffer}, 0, $end + 1, '');
            $connection->{scanned} = 0;
            return $frame;
        }
        my $length = $connection->{scanned} = length($connection->{buffer});
        fail(
            'InvalidReply',
            "connection to $connection->{peer} lost: reply of more than $MAX_REPLY_SIZE bytes"
        ) if $length > $MAX_REPLY_SIZE;
        await_bytes($connection) if $connection->{patience};
        my $count = sysread($connection->{socket}, $connection->{buffer}, $READ_SIZE, $length);
        if (!defined($count)) {
            next if $!{EINTR}; # the caller's signal handler has run, and did not die
            fail('ConnectionLost', "connection to $connection->{peer} lost: $!");
        }
        next if $count > 0;
        my $where = $length > 0 ? 'in the middle of a reply' : 'before the last reply';
        fail('ConnectionLost', "connection to $connection->{peer} lost: it was closed $where");
    }
}

my sub fail_with_reply ($connection, $reply) {
    my ($name, $parameters) = $reply->@{qw(error parameters)};
    my $message = $parameters->{message};
    if (!defined($message) || ref($message) || $message eq '') {
        my @details = map { "$_=" . $parameters->{$_} }
            grep { defined($parameters->{$_}) && !ref($parameters->{$_}) }
            sort keys $parameters->%*;
        $message = "$connection->{peer} answered " . join(' ', $name, @details);
    }
    $connection->{is_answered} = 1;
    fail($name, $message, $parameters);
}

# JSON without its strings. In two steps, because a group that is repeated is limited in perl, and
# takes time with the square of its length. What has a backslash elsewhere is no JSON.
sub without_strings ($json) {
    my $without_escapes = $json =~ s/\\.//grs;
    return $without_escapes =~ s/"[^"]*"//gr;
}

my sub parse_reply ($connection, $frame) {
    my $invalid =
        sub ($what) { fail('InvalidReply', "connection to $connection->{peer} lost: $what") };
    # in Perl a value of a few bytes takes a hundred; with its comma a value has at least two bytes
    # of JSON
    my $limit = $connection->{maximum_values};
    $invalid->("a reply of more than $limit values")
        if $limit
        && length($frame) > 2 * $limit
        && without_strings($frame) =~ tr/,[{// > $limit;
    my $reply = eval { json()->utf8->decode($frame) };
    $invalid->('a reply is not JSON') if $@;
    $invalid->('a reply is not an object') if ref($reply) ne 'HASH';
    my $mismatch = $connection->{check} && $connection->{check}->($connection, $reply, $frame);
    $invalid->($mismatch) if defined($mismatch);
    $reply->{parameters} //= {};
    $invalid->('a reply without parameters') if ref($reply->{parameters}) ne 'HASH';
    my $error = $reply->{error};
    return $reply if !defined($error);
    $invalid->('an error without a name')
        if ref($error) || $error !~ /\A[A-Za-z][A-Za-z0-9.-]*\z/;
    fail_with_reply($connection, $reply);
}

# Ends our side of the connection, which cancels the job, and waits until the daemon hangs up. The
# daemon does so when it has removed what the job made, so the caller can unmount right after.
# Returns undef, or why we no longer wait.
my sub hang_up ($connection, $guard) {
    my $socket = $connection->{socket};
    shutdown($socket, $SHUT_WR) or return;
    my $deadline = now() + $ABORT_SILENCE;
    while (now() < $deadline) {
        return 'was not waited for' if $guard->is_impatient();
        vec(my $readable = '', fileno($socket), 1) = 1;
        next if select($readable, undef, undef, $LOOK_INTERVAL) <= 0;
        my $count = sysread($socket, my $ignored, $READ_SIZE);
        next if !defined($count) && $!{EINTR};
        return if !$count;
        $deadline = now() + $ABORT_SILENCE;
    }
    return "was silent for $ABORT_SILENCE s";
}

# Sends one call over a connection and returns the parameters of the last reply. Options: more
# (several replies are wanted), descriptors (list of file descriptor numbers to send along),
# on_reply (called with the parameters of each reply but the last).
sub exchange ($connection, $method, $parameters, $options = {}) {
    send_call($connection, $method, $parameters, $options);
    heard($connection) if $connection->{patience};
    while (1) {
        my $reply = parse_reply($connection, read_frame($connection));
        return $reply->{parameters} if !$reply->{continues};
        $options->{on_reply}->($reply->{parameters}) if $options->{on_reply};
    }
}

my sub close_connection ($connection) { return close($connection->{socket}) }

# The connection that a session has kept, unless the daemon has closed it meanwhile.
my sub kept_connection ($session, $path) {
    my $connection = $session->take("socket $path") // return;
    vec(my $readable = '', fileno($connection->{socket}), 1) = 1;
    return $connection if select($readable, undef, undef, 0) == 0;
    close_connection($connection);
    return;
}

my sub guarded_call ($connection, $path, $method, $parameters, $options, $guard) {
    my ($result, $error) =
        $guard->attempt(sub { exchange($connection, $method, $parameters, $options) });
    if (!defined($result) && !$connection->{is_answered} && $options->{on_abort}) {
        my $reason = hang_up($connection, $guard);
        $options->{on_abort}->("pve-ocid $reason: it may still be removing files of the image")
            if defined($reason);
    }
    if (defined($result) && $options->{session}) {
        $options->{session}->keep($connection, "socket $path", \&close_connection);
        return $result;
    }
    close_connection($connection);
    die $error if !defined($result);
    return $result;
}

# Calls one method of the service at the socket. Options: those of exchange; session, a
# PVE::OCI::Session that keeps the connection; and on_abort: when a signal handler or on_reply dies,
# the daemon is waited for, and on_abort is called if it has not hung up, with a line that says why
# it is no longer waited for. Without a session, and after every failure, the connection is closed.
sub call ($path, $method, $parameters, $options = {}) {
    PVE::OCI::Error::forget();
    my $session = $options->{session};
    my $connection = ($session ? kept_connection($session, $path) : undef) // connect_socket($path);
    my @call = ($connection, $path, $method, $parameters, $options);
    return PVE::OCI::Signals::guard(sub ($guard) {
        guarded_call(@call, $guard);
    });
}

1;

__END__

=encoding UTF-8

=head1 NAME

PVE::OCI::Varlink - varlink calls over a Unix socket

=head1 SYNOPSIS

    my $parameters = PVE::OCI::Varlink::call(
        '/run/pve-ocid/io.pve.oci', 'io.pve.oci.GetMetrics', {},
    );

=head1 DESCRIPTION

Private to L<PVE::OCI>. One call opens one connection, sends one frame, reads replies until the last
and closes the connection. Calls of one L<PVE::OCI::Session> share a connection.

=head1 FUNCTIONS

=over

=item call($path, $method, $parameters, $options)

Returns the parameters of the last reply, a hash. Dies with an error otherwise. C<$options> may hold
C<more>, C<descriptors>, C<on_reply>, C<on_abort> and C<session>.

=item connect_socket($path), make_connection($socket, $peer)

Return a connection; C<$peer> is its other end's name in messages.

=item exchange($connection, $method, $parameters, $options)

As C<call>, over a connection that is there, and stays.

=item fail($name, $message, $parameters)

Dies with a C<PVE::OCI::Error> of the three.

=back

=head1 ERRORS

Names without a dot come from this side of the socket: C<ConnectFailed>, C<ConnectionLost>,
C<InvalidReply>, C<InvalidArgument>, C<Silence>, C<Unsupported>. All others are those of the daemon.

=cut
