package pve.oci.rootfs;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;

/**
 * Removes what is below a directory, except what is to stay. However deep and wide the tree is, one descriptor is open
 * and the memory is bounded. The walk returns through "..", and checks that this is the directory it came from. So it
 * cannot leave the tree even if somebody moves a directory meanwhile. Normally nobody does, because the container does
 * not run.
 */
public final class TreeRemoval {
    /** Decides what stays; a directory that holds something that stays, stays too. */
    interface Survivors {
        boolean survives(long device, long inode, byte[] name) throws IOException;

        /** Called for a directory that would be removed, but holds something that stays. */
        default void keptForChildren(Fd parent, byte[] name) throws IOException {}

        /** Whether nothing on that mount may be removed, whatever it is. */
        default boolean isClosed(long mountId) {
            return false;
        }

        /** Called when the entries of a directory have been removed, except for those that stay. */
        default void emptied(long device, long inode) throws IOException {}
    }

    private static final byte[] PARENT = {'.', '.'};
    private static final int SEEK_SET = 0;

    /** At least this many names of subdirectories are collected before the first of them is entered. */
    private static final int LEAST_PENDING = 16;

    /**
     * Most memory for names collected on all levels together: a directory may have millions of subdirectories, at every
     * depth.
     */
    private static final int MOST_PENDING_BYTES = 1 << 20;

    private final DirectoryReader reader = new DirectoryReader();
    private final CString name = new CString(255);
    private final FileStatus status = new FileStatus();
    private final Survivors survivors;
    private final Steps steps;
    private long pendingBytes;
    private long linksRemoved;

    TreeRemoval(Survivors survivors, Steps steps) {
        this.survivors = survivors;
        this.steps = steps;
    }

    /** How many symbolic links were removed so far. */
    long linksRemoved() {
        return linksRemoved;
    }

    /**
     * One directory on the way down: its identity, its name in the one above, and what is still to be visited in it.
     */
    private static final class RemovalLevel {
        final long device;
        final long inode;
        final byte[] nameInParent;
        final boolean stays;

        /** Subdirectories that were found and not visited yet. A large directory's are not found all at once. */
        final Deque<byte[]> subdirectories = new ArrayDeque<>();

        boolean isListed;

        /** Subdirectories that were visited and are still there; needed until the listing is complete. */
        @Nullable
        LongSet seen;

        RemovalLevel(FileStatus status, byte[] nameInParent, boolean stays) {
            device = status.device();
            inode = status.inode();
            this.nameInParent = nameInParent;
            this.stays = stays;
        }

        long key(byte[] name) {
            return EntryKeys.key(device, inode, name);
        }
    }

    /** For removing all that is on one mount. */
    public static TreeRemoval ofMount(Fd directory, Steps steps) throws IOException {
        long mountId = new FileStatus().read(directory.number()).mountId();
        return new TreeRemoval(
                new Survivors() {
                    @Override
                    public boolean survives(long device, long inode, byte[] bytes) {
                        return false;
                    }

                    @Override
                    public boolean isClosed(long other) {
                        return other != mountId;
                    }
                },
                steps);
    }

    /** Removes a name of a directory with all that is below it, if it is there. */
    public void removeIfThere(Fd parent, byte[] target) throws IOException {
        try {
            remove(parent, target);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
    }

    /** Removes an entry, whatever it is, with all that lies below it, except for survivors. */
    void remove(Fd parent, byte[] target) throws IOException {
        try {
            Libc.unlinkat(parent.number(), name.set(target), 0);
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
    void removeChildren(Fd directory) throws IOException {
        Deque<RemovalLevel> levels = new ArrayDeque<>();
        Fd current = open(directory, new byte[] {'.'});
        try {
            levels.push(new RemovalLevel(status.read(current.number()), new byte[0], true));
            while (true) {
                RemovalLevel level = levels.element();
                byte[] child = next(current, level);
                if (child != null) {
                    Fd below = enter(current, level, child);
                    if (below != null) {
                        boolean stays = survivors.survives(level.device, level.inode, child);
                        current.close();
                        current = below;
                        levels.push(new RemovalLevel(status.read(current.number()), child, stays));
                    }
                } else {
                    RemovalLevel done = levels.pop();
                    survivors.emptied(done.device, done.inode);
                    if (levels.isEmpty()) {
                        return;
                    }
                    Fd above = open(current, PARENT);
                    current.close();
                    current = above;
                    checkIdentity(above, levels.element());
                    if (done.stays || !removeDirectory(current, done.nameInParent)) {
                        markSeen(levels.element(), done.nameInParent);
                    }
                }
            }
        } finally {
            current.close();
            pendingBytes = 0;
        }
    }

    /** The next subdirectory to visit; null when there is none. */
    private byte @Nullable [] next(Fd fd, RemovalLevel level) throws IOException {
        if (level.subdirectories.isEmpty() && !level.isListed) {
            Libc.lseek(fd.number(), 0, SEEK_SET);
            list(fd, level);
        }
        byte[] child = level.subdirectories.poll();
        if (child != null) {
            pendingBytes -= child.length;
        }
        return child;
    }

    /** Collects subdirectories and removes the rest. */
    private void list(Fd fd, RemovalLevel level) throws IOException {
        List<byte[]> others = new ArrayList<>();
        level.isListed = reader.list(fd, (bytes, type) -> {
            steps.take(1);
            if (type == Libc.S_IFDIR) {
                LongSet seen = level.seen;
                if (seen == null || !seen.contains(level.key(bytes))) {
                    level.subdirectories.add(bytes);
                    pendingBytes += bytes.length;
                }
            } else if (!survivors.survives(level.device, level.inode, bytes)) {
                others.add(bytes);
                if (type == Libc.S_IFLNK) {
                    linksRemoved++;
                }
            }
            if (others.size() >= 1000) {
                unlink(fd, others);
            }
            return level.subdirectories.size() < LEAST_PENDING || pendingBytes < MOST_PENDING_BYTES;
        });
        unlink(fd, others);
        if (!level.isListed && level.seen == null) {
            level.seen = new LongSet();
        }
    }

    private static void markSeen(RemovalLevel level, byte[] child) {
        if (level.seen != null) {
            level.seen.add(level.key(child));
        }
    }

    /**
     * Opens a subdirectory; null when it must not be read: lost+found of a file system that root of the map does not
     * own. Then nothing was made in it either.
     */
    private @Nullable Fd enter(Fd fd, RemovalLevel level, byte[] child) throws IOException {
        try {
            Fd below = open(fd, child);
            if (!survivors.isClosed(status.read(below.number()).mountId())) {
                return below;
            }
            below.close();
            markSeen(level, child);
            return null;
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EACCES || !survivors.survives(level.device, level.inode, child)) {
                throw e;
            }
            markSeen(level, child);
            return null;
        }
    }

    private void unlink(Fd fd, List<byte[]> names) throws IOException {
        for (byte[] bytes : names) {
            Libc.unlinkat(fd.number(), name.set(bytes), 0);
        }
        names.clear();
    }

    /** Removes an empty directory; false when something in it stays. */
    private boolean removeDirectory(Fd parent, byte[] target) throws IOException {
        try {
            Libc.unlinkat(parent.number(), name.set(target), Libc.AT_REMOVEDIR);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOTEMPTY && e.errno() != Errno.EEXIST) {
                throw e;
            }
            survivors.keptForChildren(parent, target);
            return false;
        }
    }

    private void checkIdentity(Fd fd, RemovalLevel expected) throws IOException {
        status.read(fd.number());
        if (status.device() != expected.device || status.inode() != expected.inode) {
            throw new IOException("a directory was moved while its tree was removed");
        }
    }

    private Fd open(Fd parent, byte[] target) throws ErrnoException {
        return Fd.openDirectory(parent, name.set(target));
    }
}
