package pve.oci.service;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.rootfs.AttributeRestore;
import pve.oci.rootfs.ExistingEntries;
import pve.oci.rootfs.ExistingWalk;
import pve.oci.rootfs.RootfsNotEmptyException;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * The directory that becomes a container's root. Workers get it as a detached mount: with a plain descriptor a worker
 * could leave the directory by {@code ..}.
 *
 * <p>This class records what stands in the directory before any worker gets it: a worker that an image has taken over
 * would say what suits the image. After a failure, a fresh worker gets the record and removes everything else, and
 * {@link #restore} gives directories their attributes back.
 */
final class RootDirectory implements AutoCloseable {
    private static final long MOUNT_ATTRIBUTES =
            Libc.MOUNT_ATTR_NOSUID | Libc.MOUNT_ATTR_NODEV | Libc.MOUNT_ATTR_NOEXEC;
    private static final Logger LOG = LoggerFactory.getLogger(RootDirectory.class);

    private final Fd tree;
    private final String name;
    /** Null for an update, where a container's system stands in it. */
    private final @Nullable ExistingEntries existing;

    private final RootClaims.Claim claim;

    /** Null if the job changes no container's system. */
    private final @Nullable RootLock lock;

    private RootDirectory(
            Fd tree, String name, @Nullable ExistingEntries existing, RootClaims.Claim claim, @Nullable RootLock lock) {
        this.tree = tree;
        this.name = name;
        this.existing = existing;
        this.claim = claim;
        this.lock = lock;
    }

    /** Opens the directory that the call names. Nothing in it is changed yet. */
    static RootDirectory open(
            ServerCall call, JobParameters parameters, String jobId, JobContext context, ImageMethod method)
            throws VarlinkException {
        PeerRules.requireRoot(call.peer(), "extraction");
        String path = parameters.rootDirectory();
        Long index = parameters.rootDirectoryFileDescriptor();
        OpenFiles.requireExactlyOne("rootDirectory", path, "rootDirectoryFileDescriptor", index);
        if (path != null) {
            try (Fd directory = OpenFiles.path(call, "rootDirectory", path, Libc.O_DIRECTORY)) {
                return open(directory, "rootDirectory", path, jobId, context, method);
            }
        }
        Fd passed = OpenFiles.descriptor(call, "rootDirectoryFileDescriptor", index == null ? -1 : index);
        PeerRules.requireOurMountNamespace(call.peer(), "rootDirectoryFileDescriptor");
        return open(passed, "rootDirectoryFileDescriptor", nameOf(passed), jobId, context, method);
    }

    private static String nameOf(Fd passed) throws VarlinkException {
        try {
            return Text.name(OpenFiles.nameOf(passed));
        } catch (ErrnoException e) {
            throw OciErrors.systemError("root directory", null, e);
        }
    }

    private static RootDirectory open(
            Fd directory, String parameter, String name, String jobId, JobContext context, ImageMethod method)
            throws VarlinkException {
        RootClaims.Claim claim = null;
        RootLock lock = null;
        Fd tree = null;
        try {
            FileStatus status = new FileStatus().read(directory.number());
            if (!status.isDirectory()) {
                throw OciErrors.invalidArgument(parameter, Text.clean(name) + " is not a directory");
            }
            requireUnprotected(status, parameter, name, context.settings().protectedPaths());
            claim = context.claims().claim(directory, name, jobId);
            lock = method.changesSystem() ? RootLock.take(directory, name) : null;
            tree = Mounts.cloneTree(directory, MOUNT_ATTRIBUTES);
            RootDirectory opened =
                    new RootDirectory(tree, name, method.isUpdate() ? null : ExistingWalk.read(tree), claim, lock);
            lock = null;
            claim = null;
            tree = null;
            return opened;
        } catch (ErrnoException e) {
            throw OciErrors.systemError(name, name, e);
        } catch (RootfsNotEmptyException e) {
            throw OciErrors.rootDirectoryNotEmpty(name, e.reason());
        } catch (IOException e) {
            throw OciErrors.invalidArgument(parameter, Text.clean(name) + " cannot be read: " + e.getMessage());
        } finally {
            // if the directory has been opened, it owns all of them
            if (tree != null) {
                tree.close();
            }
            if (lock != null) {
                lock.close();
            }
            if (claim != null) {
                claim.close();
            }
        }
    }

    /** Refuses the host's root, and directories above the daemon's own files, by whatever path they are named. */
    private static void requireUnprotected(FileStatus root, String parameter, String name, List<Path> protectedPaths)
            throws VarlinkException {
        FileStatus other = new FileStatus();
        for (Path protectedPath : protectedPaths) {
            for (Path path = protectedPath; path != null; path = path.getParent()) {
                try {
                    readStatus(other, path);
                } catch (ErrnoException e) {
                    continue;
                }
                if (other.inode() == root.inode() && other.device() == root.device()) {
                    throw OciErrors.invalidArgument(
                            parameter, Text.clean(name) + " cannot be a root directory: it holds " + protectedPath);
                }
            }
        }
    }

    private static void readStatus(FileStatus status, Path path) throws ErrnoException {
        CString.lend(path.toString(), address -> status.read(Libc.AT_FDCWD, address));
    }

    /**
     * Makes the container's root the owner. Otherwise the worker could not write: CAP_DAC_OVERRIDE does not count for
     * files whose owner its user namespace does not map (user_namespaces(7)).
     */
    void chownToMappedRoot(IdMaps maps) throws VarlinkException {
        if (existing == null) {
            // the directory must belong to the container already: an update must not give it another one
            return;
        }
        int uid = (int) maps.uid().mappedRoot();
        int gid = (int) maps.gid().mappedRoot();
        try {
            FileStatus status = new FileStatus().read(tree.number());
            if (status.uid() != uid || status.gid() != gid) {
                Libc.fchownat(tree.number(), CString.EMPTY, uid, gid, Libc.AT_EMPTY_PATH);
            }
        } catch (ErrnoException e) {
            throw OciErrors.systemError(name, name, e);
        }
    }

    /**
     * Gives back after a failure what directories had before: owner, mode, times and extended attributes (ACLs among
     * them).
     */
    void restore() {
        if (existing == null) {
            return;
        }
        try {
            AttributeRestore.restore(existing, tree);
        } catch (IOException e) {
            // the client gets the error of the job, not this one
            LOG.warn("root directory not given back root={} reason=\"{}\"", Text.clean(name), e.getMessage());
        }
    }

    /** What stood in it before the extraction. */
    ExistingEntries existing() {
        if (existing == null) {
            throw new IllegalStateException("of a container's system nothing is recorded");
        }
        return existing;
    }

    Fd tree() {
        return tree;
    }

    String name() {
        return name;
    }

    FileIdentity identity() {
        return claim.directory();
    }

    @Override
    public void close() {
        tree.close();
        if (lock != null) {
            lock.close();
        }
        claim.close();
    }
}
