package pve.oci.mtree;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.DirectoryReader;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.PathOpener;
import pve.oci.rootfs.Steps;

/**
 * Walks a tree that a container's root may have made, in the order of {@link TreeEntry#compareTo}. Each directory is
 * opened by its whole path from the root, with links refused by the kernel (openat2, RESOLVE_NO_SYMLINKS and
 * RESOLVE_BENEATH), so no name leads out of the tree, and one descriptor is open at a time. Nothing but directories is
 * ever opened. Volumes that are mounted below are visited as entries, and not entered.
 */
final class TreeWalk {
    /** Bytes of names held at once, of a directory and of those above it. */
    private static final long MAXIMUM_NAMES_SIZE = 128 << 20;

    private static final byte[] LOST_AND_FOUND = "lost+found".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] RESERVED = ".pve.".getBytes(StandardCharsets.US_ASCII);

    /** What is done with each entry. */
    interface EntryVisitor {
        /**
         * Called once for each entry, in the order of {@link TreeEntry#compareTo}.
         *
         * @param isMountPoint another volume is mounted there; the entry says nothing of the tree itself
         * @return whether to visit what is below
         */
        boolean visit(TreeEntry entry, boolean isMountPoint) throws IOException;
    }

    /** A directory whose subdirectories are being walked. */
    private static final class Level {
        final byte[] path;
        final NameList names;
        final int[] order;
        int at;

        Level(byte[] path, NameList names) {
            this.path = path;
            this.names = names;
            this.order = names.order();
        }
    }

    private final Fd root;
    private final Steps steps;
    private final DirectoryReader reader = new DirectoryReader();
    private final FileStatus status = new FileStatus();
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final PathOpener opener = new PathOpener();
    private final NativeBuffer link = NativeBuffer.allocate(EntryPath.PATH_MAX);
    private long namesSize;

    /** @param steps count one for each entry */
    TreeWalk(Fd root, Steps steps) {
        this.root = root;
        this.steps = steps;
    }

    void run(EntryVisitor visitor) throws IOException {
        try (AttributeDigest attributes = new AttributeDigest()) {
            Deque<Level> levels = new ArrayDeque<>();
            push(levels, list(new byte[0], attributes, visitor));
            while (!levels.isEmpty()) {
                Level level = levels.element();
                if (level.at == level.order.length) {
                    namesSize -= level.names.byteCount();
                    levels.pop();
                } else {
                    byte[] child = level.names.get(level.order[level.at++]);
                    push(levels, list(PathOpener.join(level.path, child), attributes, visitor));
                }
            }
        }
    }

    private void push(Deque<Level> levels, @Nullable Level level) throws ImageException {
        if (level != null) {
            namesSize += level.names.byteCount();
            checkSize(namesSize);
            levels.push(level);
        }
    }

    private static void checkSize(long size) throws ImageException {
        if (size > MAXIMUM_NAMES_SIZE) {
            throw ImageException.limit("names", MAXIMUM_NAMES_SIZE).exceeded("names of files are too long together");
        }
    }

    /** Visits what is in one directory; returns its subdirectories, or null if it cannot be opened. */
    private @Nullable Level list(byte[] path, AttributeDigest attributes, EntryVisitor visitor) throws IOException {
        Fd opened = open(path);
        if (opened == null) {
            return null;
        }
        try (Fd fd = opened) {
            NameList all = new NameList();
            reader.list(fd, (bytes, type) -> {
                if (path.length > 0 || !isReserved(bytes)) {
                    all.add(bytes);
                    if ((all.size() & 0xffff) == 0) {
                        checkSize(namesSize + all.byteCount());
                    }
                }
                return true;
            });
            attributes.enter(fd);
            NameList directories = new NameList();
            for (int index : all.order()) {
                steps.take(1);
                byte[] bytes = all.get(index);
                status.read(fd.number(), name.set(bytes, 0, bytes.length));
                boolean isMountPoint = status.isMountRoot();
                byte[] full = PathOpener.join(path, bytes);
                boolean isEntered = visitor.visit(entry(fd, full, bytes, attributes), isMountPoint);
                if (isEntered && status.isDirectory() && !isMountPoint && full.length < EntryPath.PATH_MAX) {
                    directories.add(bytes);
                }
            }
            return new Level(path, directories);
        }
    }

    /**
     * Whether a name in the root directory is not the image's: a file of this program, or lost+found of the file
     * system.
     */
    private static boolean isReserved(byte[] bytes) {
        boolean isOurs = bytes.length > RESERVED.length
                && Arrays.equals(bytes, 0, RESERVED.length, RESERVED, 0, RESERVED.length);
        return isOurs || Arrays.equals(bytes, LOST_AND_FOUND);
    }

    private TreeEntry entry(Fd fd, byte[] path, byte[] bytes, AttributeDigest attributes) throws ErrnoException {
        int type = status.type();
        boolean isDevice = type == Libc.S_IFCHR || type == Libc.S_IFBLK;
        return new TreeEntry(
                path,
                status.mode(),
                status.uid(),
                status.gid(),
                type == Libc.S_IFREG ? status.size() : 0,
                status.modifiedSeconds(),
                status.modifiedNanos(),
                isDevice ? status.deviceOfNode() : 0,
                type == Libc.S_IFLNK ? target(fd, bytes) : null,
                attributes.of(bytes));
    }

    private byte[] target(Fd fd, byte[] bytes) throws ErrnoException {
        int length = (int) Libc.readlinkat(fd.number(), name.set(bytes, 0, bytes.length), link.address(), link.size());
        byte[] target = new byte[length];
        link.buffer().get(0, target);
        return target;
    }

    private @Nullable Fd open(byte[] path) throws ErrnoException {
        try {
            return opener.directory(root, path);
        } catch (ErrnoException e) {
            // its owner is outside the ID map, as lost+found's may be: nobody in the container can have written in it
            if (e.errno() == Errno.EACCES) {
                return null;
            }
            throw e;
        }
    }
}
