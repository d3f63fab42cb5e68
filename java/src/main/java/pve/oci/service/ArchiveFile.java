package pve.oci.service;

import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * An image archive, opened for a worker: a file, or the directory of an OCI image layout. It lies on a read-only mount
 * of its own. A descriptor for reading would not protect it: fchmod(2), fchown(2) and fsetxattr(2) do not need one for
 * writing, so a worker that is the host's root could give the file a set-ID bit or a capability.
 *
 * @param name as shown in messages
 */
record ArchiveFile(Fd fd, String name, boolean isDirectory, FileIdentity identity) implements AutoCloseable {
    private static final long MOUNT_ATTRIBUTES =
            Libc.MOUNT_ATTR_RDONLY | Libc.MOUNT_ATTR_NOSUID | Libc.MOUNT_ATTR_NODEV | Libc.MOUNT_ATTR_NOEXEC;

    static ArchiveFile open(ServerCall call, JobParameters parameters) throws VarlinkException {
        String path = parameters.archivePath();
        Long index = parameters.archiveFileDescriptor();
        OpenFiles.requireExactlyOne("archivePath", path, "archiveFileDescriptor", index);
        if (path != null) {
            try (Fd opened = OpenFiles.path(call, "archivePath", path, 0)) {
                return open(call, "archivePath", opened, Text.clean(path));
            }
        }
        Fd passed = OpenFiles.descriptor(call, "archiveFileDescriptor", index == null ? -1 : index);
        requireReadable(passed);
        return open(call, "archiveFileDescriptor", passed, nameOf(passed));
    }

    /** The file's name, for messages: the client may not know it, for example when the file is its standard input. */
    private static String nameOf(Fd passed) throws VarlinkException {
        try {
            return Text.name(OpenFiles.nameOf(passed));
        } catch (ErrnoException e) {
            throw OciErrors.systemError("archive", null, e);
        }
    }

    /** The file is opened again for reading, so the descriptor that was passed must have been open for reading too. */
    private static void requireReadable(Fd passed) throws VarlinkException {
        try {
            int flags = Libc.statusFlags(passed.number());
            if ((flags & Libc.O_PATH) != 0 || (flags & Libc.O_ACCMODE) == Libc.O_WRONLY) {
                throw OciErrors.invalidArgument("archiveFileDescriptor", "archive is not open for reading");
            }
        } catch (ErrnoException e) {
            throw OciErrors.systemError("archive", null, e);
        }
    }

    private static ArchiveFile open(ServerCall call, String parameter, Fd fd, String name) throws VarlinkException {
        try {
            FileStatus status = new FileStatus().read(fd.number());
            int type = status.type();
            FileIdentity identity = FileIdentity.of(status);
            if (type == Libc.S_IFDIR) {
                PeerRules.requireRoot(call.peer(), "a directory as an archive");
                PeerRules.requireOurMountNamespace(call.peer(), parameter);
                return new ArchiveFile(Mounts.cloneTree(fd, MOUNT_ATTRIBUTES), name, true, identity);
            }
            if (type != Libc.S_IFREG) {
                throw OciErrors.invalidArgument(
                        parameter, name + " is " + describe(type) + ": neither a regular file nor a directory");
            }
            // opened through the mount, because fchmod(2) and the like look at the mount that a file was opened
            // through; and the new descriptor shares no position, flags or locks with the client's
            try (Fd mount = Mounts.cloneTree(fd, MOUNT_ATTRIBUTES)) {
                return new ArchiveFile(OpenFiles.reopen(mount, Libc.O_RDONLY | Libc.O_NONBLOCK), name, false, identity);
            }
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EINVAL && e.call().equals("open_tree")) {
                throw OciErrors.invalidArgument(
                        parameter,
                        name + " is not on a mount of the daemon's mount namespace: copy it to a file there");
            }
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
