package pve.oci.rootfs;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;

/**
 * Removes what is below a directory, but for what is to stay. However deep the tree is, one descriptor is open: the way
 * back is "..", checked against the identity of the directory that was left. Nobody else changes the tree meanwhile: the
 * container does not run yet.
 */
final class TreeRemoval {
    /** Decides what stays; a directory that holds something that stays, stays too. */
    interface Survivors {
        boolean survives(long device, long inode, byte[] name);

        /** A directory that is not itself to stay, but holds something that does. */
        default void keptForChildren(int parent, byte[] name) throws ErrnoException {}
    }

    private static final byte[] PARENT = {'.', '.'};

    private final DirectoryReader reader = new DirectoryReader();
    private final CString name = new CString(255);
    private final FileStatus status = new FileStatus();
    private final Survivors survivors;

    TreeRemoval(Survivors survivors) {
        this.survivors = survivors;
    }

    /** One directory on the way down: its identity, its name in the one above, and its subdirectories still to see. */
    private static final class Level {
        final long device;
        final long inode;
        final byte[] nameInParent;
        final boolean stays;
        final Deque<byte[]> subdirectories = new ArrayDeque<>();

        Level(FileStatus status, byte[] nameInParent, boolean stays) {
            device = status.device();
            inode = status.inode();
            this.nameInParent = nameInParent;
            this.stays = stays;
        }
    }

    /** Removes a name of a directory, whatever it is; it and all below is gone but for survivors. */
    void remove(int parent, byte[] target) throws ErrnoException {
        try {
            Libc.unlinkat(parent, name.set(target, 0, target.length), 0);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EISDIR && e.errno() != Errno.EPERM) {
                throw e;
            }
            try (Fd fd = open(parent, target)) {
                removeChildren(fd);
            }
            removeDirectory(parent, target);
        }
    }

    /** Removes what is in a directory; the directory stays. The descriptor stays open and usable. */
    void removeChildren(Fd directory) throws ErrnoException {
        Deque<Level> levels = new ArrayDeque<>();
        Fd current = open(directory.number(), new byte[] {'.'});
        try {
            levels.push(enter(current, new byte[0], true));
            while (true) {
                Level level = levels.element();
                byte[] child = level.subdirectories.poll();
                if (child != null) {
                    Fd below = open(current.number(), child);
                    boolean stays = survivors.survives(level.device, level.inode, child);
                    current.close();
                    current = below;
                    levels.push(enter(current, child, stays));
                } else {
                    levels.pop();
                    if (levels.isEmpty()) {
                        return;
                    }
                    Fd above = open(current.number(), PARENT);
                    current.close();
                    current = above;
                    checkIdentity(above, levels.element());
                    if (!level.stays) {
                        removeDirectory(current.number(), level.nameInParent);
                    }
                }
            }
        } finally {
            current.close();
        }
    }

    private Level enter(Fd fd, byte[] nameInParent, boolean stays) throws ErrnoException {
        Level level = new Level(status.read(fd.number()), nameInParent, stays);
        List<byte[]> others = new ArrayList<>();
        reader.list(fd.number(), (bytes, isDirectory) -> {
            if (isDirectory) {
                level.subdirectories.add(bytes);
            } else if (!survivors.survives(level.device, level.inode, bytes)) {
                others.add(bytes);
            }
            if (others.size() >= 1000) {
                unlink(fd, others);
            }
        });
        unlink(fd, others);
        return level;
    }

    private void unlink(Fd fd, List<byte[]> names) throws ErrnoException {
        for (byte[] bytes : names) {
            Libc.unlinkat(fd.number(), name.set(bytes, 0, bytes.length), 0);
        }
        names.clear();
    }

    private void removeDirectory(int parent, byte[] target) throws ErrnoException {
        try {
            Libc.unlinkat(parent, name.set(target, 0, target.length), Libc.AT_REMOVEDIR);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOTEMPTY && e.errno() != Errno.EEXIST) {
                throw e;
            }
            survivors.keptForChildren(parent, target);
        }
    }

    private void checkIdentity(Fd fd, Level expected) throws ErrnoException {
        status.read(fd.number());
        if (status.device() != expected.device || status.inode() != expected.inode) {
            throw new ErrnoException("directory was moved while its tree was removed: openat", Errno.ENOENT);
        }
    }

    private Fd open(int parent, byte[] target) throws ErrnoException {
        return new Fd(Libc.openat(
                parent,
                name.set(target, 0, target.length),
                Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC,
                0));
    }
}
