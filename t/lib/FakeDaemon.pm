package FakeDaemon;

# A stand-in for pve-ocid that plays scripts, to test clients: a forked process that listens on a
# socket in a temporary directory and plays one script a connection.
#
# A script is a list of steps, each [name, argument]: reply HASH, raw BYTES, sleep SECONDS,
# wait_eof, close, stall (never answers, never hangs up), clean SECONDS. It starts once a call was
# read. Calls, descriptors and the moment of EOF are written to a log.

use v5.36;

use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use JSON;
use Socket qw(SOCK_STREAM);
use Time::HiRes ();

my $RECVMSG = { x86_64 => 47, aarch64 => 212, riscv64 => 212 };

my sub write_log ($self, $entry) {
    open(my $handle, '>>', "$self->{directory}/log") or die "log: $!\n";
    print {$handle} JSON->new->utf8->encode($entry), "\n";
    close($handle) or die "log: $!\n";
}

# Reads some bytes and what descriptors come with them; returns both.
my sub receive ($socket) {
    my ($machine) = (POSIX::uname())[4];
    my ($bytes, $control) = ("\0" x 65536, "\0" x 64);
    my $iov = pack('P Q', $bytes, length($bytes));
    my $message = pack('Q L x4 P Q P Q l x4', 0, 0, $iov, 1, $control, length($control), 0);
    my $count = syscall($RECVMSG->{$machine}, fileno($socket), $message, 0);
    die "recvmsg: $!\n" if $count < 0;
    my $control_length = (unpack('Q L x4 Q Q Q Q l', $message))[5];
    my @fds;
    if ($control_length > 16) {
        my $length = unpack('Q', $control);
        @fds = unpack('l' . ($length - 16) / 4, substr($control, 16));
    }
    return (substr($bytes, 0, $count), @fds);
}

my sub read_call ($self, $socket) {
    my ($frame, @fds) = ('');
    while ($frame !~ /\0\z/) {
        my ($bytes, @more) = receive($socket);
        return if $bytes eq '';
        $frame .= $bytes;
        push @fds, @more;
    }
    chop($frame);
    my $call = decode_json($frame);
    $call->{descriptors} = [map { readlink("/proc/self/fd/$_") } @fds];
    POSIX::close($_) for @fds;
    write_log($self, { call => $call });
    return $call;
}

my $STEPS = {
    reply => sub ($self, $socket, $reply) { syswrite($socket, encode_json($reply) . "\0") },
    raw => sub ($self, $socket, $bytes) { syswrite($socket, $bytes) },
    sleep => sub ($self, $socket, $seconds) { Time::HiRes::sleep($seconds) },
    wait_eof => sub ($self, $socket, @) {
        1 while sysread($socket, my $ignored, 1024);
        write_log($self, { eof => Time::HiRes::time() });
    },
    stall => sub ($self, $socket, @) {
        1 while sysread($socket, my $ignored, 1024);
        write_log($self, { eof => Time::HiRes::time() });
        sleep(60);
    },
    # waits for EOF, and gives signs of life for some seconds
    clean => sub ($self, $socket, $seconds) {
        1 while sysread($socket, my $ignored, 1024);
        write_log($self, { eof => Time::HiRes::time() });
        my $end = Time::HiRes::time() + $seconds;
        while (Time::HiRes::time() < $end) {
            syswrite($socket, encode_json({ continues => JSON::true, parameters => {} }) . "\0")
                or return;
            Time::HiRes::sleep(0.2);
        }
    },
    close => sub ($self, $socket, @) { close($socket) },
};

my sub serve ($self, $server, @scripts) {
    for my $script (@scripts) {
        my $socket = $server->accept() // next;
        my $at_once = $script->@* && $script->[0]->[0] eq 'close';
        read_call($self, $socket) if !$at_once;
        for my $step ($script->@*) {
            my ($name, @arguments) = $step->@*;
            $STEPS->{$name}->($self, $socket, @arguments);
        }
        close($socket);
    }
}

# Starts a daemon that plays these scripts one after the other.
sub start ($class, @scripts) {
    require POSIX;
    my $self = bless { directory => tempdir(CLEANUP => 1), owner => $$ }, $class;
    my $server = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $self->socket(), Listen => 5)
        // die "listen: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        $SIG{TERM} = 'DEFAULT';
        eval { serve($self, $server, @scripts) };
        print STDERR "fake daemon: $@" if $@;
        POSIX::_exit($@ ? 1 : 0);
    }
    $self->{pid} = $pid;
    return $self;
}

sub socket ($self) { return "$self->{directory}/socket"; }

# All entries of the log so far.
sub log_entries ($self) {
    open(my $handle, '<', "$self->{directory}/log") or return;
    return map { decode_json($_) } <$handle>;
}

# Waits for an entry of this kind, up to five seconds; returns its content.
sub wait_for ($self, $kind) {
    for (1 .. 100) {
        my ($entry) = grep { exists($_->{$kind}) } $self->log_entries();
        return $entry->{$kind} if $entry;
        Time::HiRes::sleep(0.05);
    }
    return;
}

# The last call that was read.
sub call ($self) {
    my @calls = grep { exists($_->{call}) } $self->log_entries();
    return $calls[-1]->{call};
}

sub DESTROY ($self) {
    return if !$self->{pid} || $self->{owner} != $$;
    local ($?, $!);
    kill('TERM', $self->{pid});
    waitpid($self->{pid}, 0);
}

1;
