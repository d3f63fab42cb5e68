package pve.oci.update;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.mtree.PathSet;

/**
 * The folders in the root directory that belong to updates. They are opened without following links, and used only if
 * they are directories of root's own that nobody else can enter; anything else was planted, and is told of. A
 * container's root can still make such a folder and write a journal: that gets its own names moved around in its own
 * tree, which it can do anyway.
 */
final class ControlDirectory {
    /** An update at work: {@code new}, {@code old} and the journal. */
    static final String UPDATE = ".pve.oci.update";

    /** What the last update took out: {@code old} and the journal. */
    static final String PREVIOUS = ".pve.oci.previous";

    static final String NEW_TREE = "new";
    static final String OLD_TREE = "old";

    private static final int OPEN = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;

    private ControlDirectory() {}

    /**
     * Whether a name in the root directory is never moved. lost+found belongs to the file system: the host's root owns
     * it, and the container may not rename it.
     */
    static boolean isReserved(byte[] name) {
        String text = new String(name, StandardCharsets.ISO_8859_1);
        return text.equals(UPDATE) || text.equals(PREVIOUS) || text.equals("lost+found");
    }

    /** The folder of that name; null if there is none. */
    static @Nullable Fd find(Fd root, String name) throws IOException {
        Fd fd;
        try {
            fd = open(root, name);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            if (e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                throw planted(name);
            }
            throw e;
        }
        FileStatus status = new FileStatus().read(fd.number());
        if (status.uid() != 0 || (status.mode() & 077) != 0 || status.isMountRoot()) {
            fd.close();
            throw planted(name);
        }
        return fd;
    }

    private static Fd open(Fd parent, String name) throws ErrnoException {
        return new Fd(CString.lend(name, address -> Libc.openat(parent.number(), address, OPEN, 0)));
    }

    static void makeDirectory(Fd parent, byte[] name, int mode) throws ErrnoException {
        CString.lend(name, address -> {
            Libc.mkdirat(parent.number(), address, mode);
            return mode;
        });
    }

    /** Within one directory. */
    static void rename(Fd directory, String from, String to) throws ErrnoException {
        CString.lend(
                from,
                source -> CString.lend(to, target -> {
                    Libc.renameat(directory.number(), source, directory.number(), target);
                    return target;
                }));
    }

    private static UpdateException planted(String name) {
        return new UpdateException(
                UpdateException.Reason.UPDATE_PENDING,
                "/" + name + " was not made by an update: look at it, and remove it or move it away");
    }

    /** A new folder, with mode 0700. */
    static Fd create(Fd root, String name) throws IOException {
        return createDirectory(root, name, 0700);
    }

    static Fd createDirectory(Fd parent, String name, int mode) throws IOException {
        makeDirectory(parent, PathSet.bytes(name), mode);
        Fd fd = open(parent, name);
        try {
            // a default ACL or set-gid bit of the root directory is not meant for this
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), mode);
            return fd;
        } catch (IOException e) {
            fd.close();
            throw e;
        }
    }
}
