# A private daemon for a test: from the tree, on a socket of its own.
package TestDaemon;

use v5.36;

use Exporter qw(import);
use POSIX ();

use TestSupport qw(root wait_until);

our @EXPORT = qw(start_daemon stop_daemon);

my $daemon;

# Starts the daemon and returns the path of its socket once it listens. Its log goes to DIRECTORY/log.
sub start_daemon ($directory) {
    my $socket = "$directory/socket";
    $daemon = fork() // die "fork: $!\n";
    if ($daemon == 0) {
        open(STDOUT, '>', "$directory/log") or POSIX::_exit(126);
        open(STDERR, '>&', \*STDOUT) or POSIX::_exit(126);
        exec(root() . '/bin/pve-ocid', '--socket', $socket) or POSIX::_exit(127);
    }
    my $is_gone = sub { waitpid($daemon, POSIX::WNOHANG()) == $daemon };
    my $is_up = wait_until(sub { -S $socket || $is_gone->() });
    die "the daemon does not listen, see $directory/log\n" if !$is_up || !-S $socket;
    return $socket;
}

sub stop_daemon () {
    return if !$daemon;
    kill('TERM', $daemon);
    waitpid($daemon, 0);
    $daemon = undef;
    return;
}

# A test that dies must not leave a daemon behind; its exit status stays.
END {
    local $? = $?;
    stop_daemon();
}

1;
