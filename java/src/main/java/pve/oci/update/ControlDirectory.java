package pve.oci.update;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.mtree.PathSet;
import pve.oci.text.Text;

/**
 * The directories that updates keep in the root directory. They are opened without following links, and used only if
 * root owns them and nobody else can enter them. Anything else was planted by somebody, and is an error. The
 * container's root can still make such a directory and write a journal into it. All that this can do is to move names
 * of its own tree around in that tree, which it can do anyway.
 */
final class ControlDirectory {
    /** An update in progress. It holds {@code new}, {@code old} and the journal. */
    static final String UPDATE = ".pve.oci.update";

    /** The system before the last update. It holds {@code old} and the journal. */
    static final String PREVIOUS = ".pve.oci.previous";

    /** What an update or a rollback could not remove. Nothing in it is used again. */
    static final String REMOVED = ".pve.oci.removed";

    static final String NEW_TREE = "new";
    static final String OLD_TREE = "old";

    private static final int OPEN = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;

    private ControlDirectory() {}

    /**
     * Whether updates never move this name in the root directory. lost+found belongs to the file system: the host's
     * root owns it, and the container may not rename it.
     */
    static boolean isReserved(byte[] name) {
        String text = new String(name, StandardCharsets.ISO_8859_1);
        return List.of(UPDATE, PREVIOUS, REMOVED, "lost+found").contains(text);
    }

    /** Whether a path is that of a file or folder of this program, or lies below one. */
    static boolean isOurs(String path) {
        return path.startsWith(".pve.");
    }

    /** Opens the directory of that name; null if there is none. Any other file of that name is an UpdateException. */
    static @Nullable Fd find(Fd root, String name) throws IOException {
        Fd fd;
        try {
            fd = open(root, name);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            // EACCES: its owner is the host's root
            if (e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP || e.errno() == Errno.EACCES) {
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

    static void rename(Fd directory, String from, Fd into, String to) throws ErrnoException {
        CString.lend(
                from,
                source -> CString.lend(to, target -> {
                    Libc.renameat(directory.number(), source, into.number(), target);
                    return target;
                }));
    }

    private static UpdateException planted(String name) {
        return new UpdateException(
                UpdateException.Reason.UPDATE_PENDING,
                "/" + name + " was not made by an update: look at it, and remove it or move it away");
    }

    /**
     * Requires that an update can be brought to its end: that names can be removed from the root directory, and that
     * nobody has planted something in place of the folders that come last.
     */
    static void requireUsable(Fd root) throws IOException {
        requireChangeable(root, "");
        for (String name : List.of(PREVIOUS, REMOVED)) {
            Fd found = find(root, name);
            if (found != null) {
                found.close();
            }
        }
    }

    /**
     * Requires that names can be moved in and out of a directory that stays.
     *
     * @param path empty: the root directory
     */
    static void requireChangeable(Fd directory, String path) throws IOException {
        if (new FileStatus().read(directory.number()).isImmutableOrAppendOnly()) {
            throw new UpdateException(
                    UpdateException.Reason.UPDATE_CONFLICT,
                    path.isEmpty()
                            ? "the root directory is immutable or append-only: take that back with chattr(1)"
                            : "'/" + Text.name(PathSet.bytes(path))
                                    + "' is immutable or append-only, so what is in it cannot be"
                                    + " exchanged: take that back with chattr(1), or keep the whole directory");
        }
    }

    /** Makes and opens a directory with mode 0700. */
    static Fd create(Fd root, String name) throws IOException {
        return createDirectory(root, name, 0700);
    }

    static Fd createDirectory(Fd parent, String name, int mode) throws IOException {
        makeDirectory(parent, PathSet.bytes(name), mode);
        Fd fd = open(parent, name);
        try {
            // a default ACL or the set-group-ID bit of the root directory may have given it another mode or group
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), mode);
            return fd;
        } catch (IOException e) {
            fd.close();
            throw e;
        }
    }
}
