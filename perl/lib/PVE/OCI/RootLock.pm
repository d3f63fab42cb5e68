package PVE::OCI::RootLock;

# The lock of a root file system that is being updated: flock(2), LOCK_EX, on its root directory.
# Every step of an update takes it, in the daemon too (pve.oci.service.RootLock), so who holds it
# from the first step to the last keeps others out in between. The steps then get the handle that is
# locked.

use v5.36;

use Fcntl qw(LOCK_EX LOCK_NB O_DIRECTORY O_RDONLY);

use PVE::OCI::Varlink;

my $WAIT_TRIES = 100; # ten a second

my sub opened ($path, $name) {
    sysopen(my $handle, $path, O_RDONLY | O_DIRECTORY)
        or PVE::OCI::Varlink::fail('OpenFailed', "cannot open '$name': $!", { errno => $! + 0 });
    return $handle;
}

my sub fail_pending ($name) {
    my $message = "'$name' is being updated or rolled back by another call: wait for its end";
    PVE::OCI::Varlink::fail('io.pve.oci.UpdatePending', $message, { message => $message });
}

# Locks a root directory until the handle that is returned is closed. A lock is free when whoever
# held it has ended; a call that was killed needs a moment for that.
sub wait_for ($rootdir) {
    my $handle = opened($rootdir, $rootdir);
    my $tries = 0;
    while (!flock($handle, LOCK_EX | LOCK_NB)) {
        fail_pending($rootdir) if ++$tries > $WAIT_TRIES;
        select(undef, undef, undef, 0.1); ## no critic (ProhibitSleepViaSelect)
    }
    return $handle;
}

# For one step: locks the directory that is open, without waiting, until the handle that is returned
# is closed. Returns undef if the open handle itself has the lock.
sub take ($directory, $name) {
    # opened anew: a lock on a handle that was passed would stay with the caller
    my $handle = opened('/proc/self/fd/' . fileno($directory) . '/.', $name);
    return $handle if flock($handle, LOCK_EX | LOCK_NB);
    return if flock($directory, LOCK_EX | LOCK_NB); # not with O_PATH
    fail_pending($name);
}

1;
