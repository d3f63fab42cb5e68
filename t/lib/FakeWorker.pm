# Programs that stand in for a worker, below the real daemon and in place of the embedded engine.
package FakeWorker;

use v5.36;

use Exporter qw(import);
use POSIX ();

our @EXPORT_OK = qw(instead_of_engine launcher worker_program);

# Connects as a worker does: to the daemon's socket, or by descriptor 0 as the embedded engine. Then
# $socket is there, and $at is defined below the daemon. Frames end at a NUL.
my $BEGINNING = <<'END';
#!/usr/bin/perl
use v5.36;
use IO::Socket::UNIX;
my ($at) = grep { $ARGV[$_] eq '--socket' } 0 .. $#ARGV;
my $socket;
if (defined($at)) {
    $socket = IO::Socket::UNIX->new(Peer => $ARGV[$at + 1]) or exit(1);
    syswrite($socket, qq({"parameters":{"ready":true},"continues":true}\0));
} else {
    open($socket, '+<&=', 0) or exit(1);
}
local $/ = "\0";
END

# The text of a program that goes on with this code once it is connected.
sub worker_program ($code) { return $BEGINNING . $code }

# Writes the program to a file that the daemon can start as its launcher; returns its path.
sub launcher ($directory, $program) {
    my $path = "$directory/fake";
    open(my $file, '>', $path) or die "fake: $!\n";
    print {$file} $program;
    close($file) or die "fake: $!\n";
    chmod(0755, $path) or die "chmod: $!\n";
    return $path;
}

# Starts the program in place of an engine: for PVE::OCI::JVM::start.
sub instead_of_engine ($program) {
    return sub ($settings, $connection, $log, $owner) {
        my $pid = fork() // return -1;
        return $pid if $pid;
        POSIX::dup2($connection, 0) // POSIX::_exit(98);
        exec($^X, '-e', $program) or POSIX::_exit(99);
    };
}

1;
