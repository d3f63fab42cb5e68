package pve.oci.service;

import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.UpdateCalls;
import pve.oci.varlink.VarlinkException;

/**
 * The lock of a root file system that is being updated: flock(2), LOCK_EX, on its root directory. Every step takes it,
 * so a client that holds it from its first step to its last keeps others out in between, whatever engine they use. Such
 * a client passes the descriptor that it has locked. PVE::OCI::RootLock does the same for the embedded engine.
 */
final class RootLock implements AutoCloseable {
    /** From flock(2). */
    private static final int LOCK_EX_NB = 2 | 4;

    private static final CString SELF = CString.of(".");

    /** Null if the client holds the lock. */
    private final @Nullable Fd own;

    private RootLock(@Nullable Fd own) {
        this.own = own;
    }

    /**
     * Locks a root directory.
     *
     * @param directory as the client named it or passed it
     * @param name for the error
     */
    static RootLock take(Fd directory, String name) throws VarlinkException, ErrnoException {
        // opened anew: a lock on the descriptor that was passed would stay with the client
        Fd own = new Fd(
                Libc.openat(directory.number(), SELF.address(), Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0));
        try {
            UpdateCalls.flock(own.number(), LOCK_EX_NB);
            return new RootLock(own);
        } catch (ErrnoException e) {
            own.close();
            if (e.errno() != Errno.EAGAIN) {
                throw e;
            }
        }
        if (!isHeldBy(directory)) {
            throw OciErrors.updatePending(name);
        }
        return new RootLock(null);
    }

    /** Whether the lock that somebody holds is that of this descriptor: then taking it again changes nothing. */
    private static boolean isHeldBy(Fd directory) {
        try {
            UpdateCalls.flock(directory.number(), LOCK_EX_NB);
            return true;
        } catch (ErrnoException e) {
            // EAGAIN: it is another one's; EBADF: a descriptor of O_PATH holds no lock
            return false;
        }
    }

    @Override
    public void close() {
        if (own != null) {
            own.close();
        }
    }
}
