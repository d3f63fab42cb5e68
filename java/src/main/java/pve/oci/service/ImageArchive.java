package pve.oci.service;

import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * An image archive, opened for a worker: a file, or the directory of an OCI image layout as a read-only mount of its
 * own.
 *
 * @param name as shown in messages
 */
record ImageArchive(Fd fd, String name, boolean isDirectory) implements AutoCloseable {
    private static final long MOUNT_ATTRIBUTES =
            Libc.MOUNT_ATTR_RDONLY | Libc.MOUNT_ATTR_NOSUID | Libc.MOUNT_ATTR_NODEV | Libc.MOUNT_ATTR_NOEXEC;

    static ImageArchive open(ServerCall call, JobParameters parameters) throws VarlinkException {
        String path = parameters.archivePath();
        Long index = parameters.archiveFileDescriptor();
        OpenFiles.requireExactlyOne("archivePath", path, "archiveFileDescriptor", index);
        if (path != null) {
            try (Fd opened = OpenFiles.path(call, "archivePath", path, 0)) {
                return open(call, "archivePath", opened, Text.clean(path), true);
            }
        }
        Fd passed = OpenFiles.descriptor(call, "archiveFileDescriptor", index == null ? -1 : index);
        return open(call, "archiveFileDescriptor", passed, "archive", false);
    }

    private static ImageArchive open(ServerCall call, String parameter, Fd fd, String name, boolean mayReopen)
            throws VarlinkException {
        try {
            int type = new FileStatus().read(fd.number()).type();
            if (type == Libc.S_IFDIR) {
                PeerRules.requireRoot(call.peer(), "a directory as an archive");
                PeerRules.requireOurMountNamespace(call.peer(), parameter);
                return new ImageArchive(Mounts.cloneTree(fd, MOUNT_ATTRIBUTES), name, true);
            }
            if (type != Libc.S_IFREG) {
                throw OciErrors.invalidArgument(
                        parameter, name + " is " + describe(type) + ": neither a regular file nor a directory");
            }
            // a descriptor is used as it was passed: to open it anew would be to open what its owner may not
            return new ImageArchive(
                    mayReopen ? OpenFiles.reopen(fd, Libc.O_RDONLY | Libc.O_NONBLOCK) : new Fd(fd.release()),
                    name,
                    false);
        } catch (ErrnoException e) {
            throw OciErrors.systemError(name, null, e);
        }
    }

    private static String describe(int type) {
        return switch (type) {
            case Libc.S_IFIFO -> "a FIFO";
            case Libc.S_IFSOCK -> "a socket";
            case Libc.S_IFBLK, Libc.S_IFCHR -> "a device";
            default -> "no file";
        };
    }

    @Override
    public void close() {
        fd.close();
    }
}
