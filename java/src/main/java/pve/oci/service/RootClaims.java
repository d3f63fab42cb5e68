package pve.oci.service;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.varlink.VarlinkException;

/**
 * The root directories of all current jobs. No two of them are the same directory, and none is above another: otherwise
 * a job that fails would take back what another one is making.
 */
final class RootClaims {
    private static final CString PARENT = CString.of("..");

    /** One job's claim on a directory. */
    final class Claim implements AutoCloseable {
        private final String jobId;

        /** The directory and all directories above it, up to the host's root. */
        private final List<FileIdentity> way;

        /** The place in the file system, to compare directories that were reached by different mounts. */
        private final @Nullable MountPlace place;

        private Claim(String jobId, List<FileIdentity> way, @Nullable MountPlace place) {
            this.jobId = jobId;
            this.way = way;
            this.place = place;
        }

        FileIdentity directory() {
            return way.get(0);
        }

        private boolean holds(Claim other) {
            return other.way.contains(directory())
                    || (place != null && other.place != null && place.holds(other.place));
        }

        @Override
        public void close() {
            synchronized (claims) {
                claims.remove(this);
            }
        }
    }

    private final List<Claim> claims = new ArrayList<>();

    /**
     * Claims a directory.
     *
     * @param directory as it was opened by its path, so that ".." leads to the directories above
     * @param name for the error
     */
    Claim claim(Fd directory, String name, String jobId) throws VarlinkException, ErrnoException {
        Claim claim = new Claim(jobId, wayUp(directory), MountPlace.of(directory));
        synchronized (claims) {
            for (Claim other : claims) {
                if (other.directory().equals(claim.directory())) {
                    throw OciErrors.rootDirectoryInUse(name, other.jobId, "into it");
                }
                if (other.holds(claim)) {
                    throw OciErrors.rootDirectoryInUse(name, other.jobId, "into a directory above it");
                }
                if (claim.holds(other)) {
                    throw OciErrors.rootDirectoryInUse(name, other.jobId, "into a directory below it");
                }
            }
            claims.add(claim);
        }
        return claim;
    }

    private static List<FileIdentity> wayUp(Fd directory) throws ErrnoException {
        List<FileIdentity> way = new ArrayList<>();
        FileStatus status = new FileStatus();
        Fd current = directory;
        try {
            while (true) {
                FileIdentity identity = FileIdentity.of(status.read(current.number()));
                if (!way.isEmpty() && identity.equals(way.get(way.size() - 1))) {
                    // ".." of the host's root, or of a detached mount's, is itself
                    return way;
                }
                way.add(identity);
                Fd parent = new Fd(Libc.openat(
                        current.number(), PARENT.address(), Libc.O_PATH | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0));
                closeUnless(directory, current);
                current = parent;
            }
        } finally {
            closeUnless(directory, current);
        }
    }

    private static void closeUnless(Fd kept, Fd fd) {
        if (fd != kept) {
            fd.close();
        }
    }
}
