# The real daemon on a socket of its own, with its real workers, and clients of it in processes of
# their own.
package RealDaemon;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use JSON;
use POSIX ();
use Socket qw(SOCK_STREAM);
use Time::HiRes qw(sleep time);

use PVE::OCI;
use TestSupport qw(patience process_status root wait_until);

our @EXPORT_OK = qw(in_child result_of);

my $JSON = JSON->new->utf8->canonical;

# Starts a daemon with these options and waits until it answers. With qw(--spares 0) each job starts
# its worker. A spare one would be warmed up after each job, for up to a second of processor time,
# and most tests have no use for that.
sub start ($class, @options) {
    my $directory = tempdir(CLEANUP => 1);
    chmod(0755, $directory) or die "chmod: $!\n";
    my $self = bless(
        {
            directory => $directory, socket => "$directory/socket", log => "$directory/log",
            options => \@options, owner => $$,
        },
        $class
    );
    $self->run();
    return $self;
}

# Also again, after the daemon has died.
sub run ($self) {
    $self->{pid} = fork() // die "fork: $!\n";
    if (!$self->{pid}) {
        open(STDOUT, '>>', $self->{log}) or POSIX::_exit(99);
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(99);
        exec(
            root() . '/bin/pve-ocid', '--config', '/dev/null', '--socket', $self->{socket},
            $self->{options}->@*
        ) or POSIX::_exit(98);
    }
    wait_until(sub { IO::Socket::UNIX->new(Peer => $self->{socket}) })
        or die "daemon does not answer: " . $self->log_text();
    return;
}

sub stop ($self, $signal = 'TERM') {
    return if !$self->{pid} || $self->{owner} != $$;
    kill $signal => $self->{pid};
    waitpid($self->{pid}, 0);
    delete $self->{pid};
    return $?;
}

sub DESTROY ($self) {
    local ($?, $@, $!);
    $self->stop();
    return;
}

sub log_text ($self) {
    open(my $file, '<', $self->{log}) or return '';
    local $/ = undef;
    return <$file>;
}

# All processes below the daemon: two for each worker.
sub descendants ($self) {
    my %parent;
    for my $directory (glob('/proc/[0-9]*')) {
        my $status = process_status($directory =~ s!.*/!!r) or next;
        $parent{ $status->{Pid} } = $status->{PPid};
    }
    my %below = ($self->{pid} => 1);
    for (1 .. 3) {
        $below{$_} = 1 for grep { $below{ $parent{$_} } } keys %parent;
    }
    delete $below{ $self->{pid} };
    my @sorted = sort { $a <=> $b } keys %below;
    return @sorted;
}

# Memory in KiB, open descriptors, processes, and threads that end when their work does. Others wait
# for a minute after it, as many as were needed at once: those that wait for a child to end, that
# start workers, or compile.
sub usage ($self) {
    my @fds = glob("/proc/$self->{pid}/fd/*");
    my @threads = grep { !/\A(?:process reaper|worker-starter|C[12] Compiler)/ }
        map { name_of_thread($_) } glob("/proc/$self->{pid}/task/*/comm");
    return {
        rss => process_status($self->{pid})->{VmRSS} =~ s/\D//gr, fds => scalar(@fds),
        processes => scalar(() = $self->descendants()),
        threads => scalar(@threads),
    };
}

sub name_of_thread ($file) {
    open(my $handle, '<', $file) or return '';
    return readline($handle) // '';
}

# The job at work as ListJobs tells it, when it has got so far; the Java processes of its worker are
# those below the daemon that were there at its start.
sub wait_for_job ($self, $condition) {
    my $found;
    wait_until(sub {
        my $jobs = eval { PVE::OCI::list_jobs({ socket => $self->{socket} }) } // [];
        ($found) = grep { $condition->($_) } $jobs->@*;
        return $found;
    });
    return $found;
}

# Raw bytes out, everything back until a NUL, the end, or patience is over. Returns it and how it
# ended: reply, closed, silence.
sub talk ($self, $bytes, $seconds = patience()) {
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $self->{socket})
        or die "connect: $!\n";
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;
    while ($sent < length($bytes)) {
        my $count = syswrite($socket, $bytes, length($bytes) - $sent, $sent) // last;
        $sent += $count;
    }
    my $end = time() + $seconds;
    my $reply = '';
    while ($reply !~ /\0/) {
        return ($reply, 'silence') if !IO::Select->new($socket)->can_read($end - time());
        my $count = sysread($socket, $reply, 65536, length($reply));
        return ($reply, 'closed') if !$count;
    }
    return ($reply, 'reply');
}

# Runs code in a process of its own; its value, or its error with the name that PVE::OCI has for it,
# comes by result_of.
sub in_child ($code) {
    pipe(my $reader, my $writer) or die "pipe: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        close($reader);
        my $value = eval { $code->() };
        my $error = $@;
        my %result =
            $error
            ? (error => "$error", name => (PVE::OCI::Error::caught($error) // {})->{name})
            : (value => $value);
        print {$writer} $JSON->encode(\%result);
        close($writer);
        POSIX::_exit(0);
    }
    close($writer);
    return { pid => $pid, reader => $reader };
}

sub result_of ($child) {
    my $handle = $child->{reader};
    my $text = '';
    if (IO::Select->new($handle)->can_read(4 * patience())) {
        local $/ = undef;
        $text = <$handle>;
    }
    kill KILL => $child->{pid} if $text eq '';
    waitpid($child->{pid}, 0);
    my $result = $text eq '' ? { error => "child ended with status $?" } : $JSON->decode($text);
    chomp($result->{error}) if defined($result->{error});
    return $result;
}

1;
