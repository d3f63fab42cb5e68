# What the tests of the command pve-oci share: running it, alone or with a daemon that
# plays a script.
package CliTest;

use v5.36;

use Exporter qw(import);
use File::Temp qw(tempdir);
use FindBin;
use POSIX ();

use FakeDaemon;

our @EXPORT_OK = qw($DIRECTORY $PROGRAM run run_with slurp start_program);

our $PROGRAM = "$FindBin::Bin/../bin/pve-oci";
our $DIRECTORY = tempdir(CLEANUP => 1);
delete $ENV{PVE_OCI_SOCKET};

sub slurp ($path) {
    open(my $handle, '<', $path) or die "$path: $!";
    local $/ = undef;
    return scalar(<$handle>) // "";
}

# Starts the command in $DIRECTORY; returns its pid. Its output is in the files out and err there.
sub start_program (@arguments) {
    my $pid = fork() // die $!;
    if ($pid == 0) {
        chdir($DIRECTORY) or die $!;
        open(STDOUT, '>', "$DIRECTORY/out") or die $!;
        open(STDERR, '>', "$DIRECTORY/err") or die $!;
        open(STDIN, '<', '/dev/null') or die $!;
        exec($PROGRAM, @arguments) or POSIX::_exit(99);
    }
    return $pid;
}

# Runs the command; returns its exit code and what it wrote to standard output and standard error.
sub run (@arguments) {
    waitpid(start_program(@arguments), 0);
    return ($? >> 8, slurp("$DIRECTORY/out"), slurp("$DIRECTORY/err"));
}

# Runs the command with a daemon that plays this script. Returns the daemon, and what run() returns.
sub run_with ($script, @arguments) {
    my $daemon = FakeDaemon->start($script);
    my @got = run(@arguments, '--socket', $daemon->socket());
    return ($daemon, @got);
}

1;
