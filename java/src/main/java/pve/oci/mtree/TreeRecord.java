package pve.oci.mtree;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.compress.ZstdStreams;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FdInputStream;
import pve.oci.linux.FdOutputStream;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Timespec;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TreeRemoval;

/**
 * The file that records what an image made. It is written by one walk over the finished tree, so it holds what is
 * there, not what was intended.
 */
public final class TreeRecord {
    /** The name of the file, in the root directory. */
    public static final String NAME = ".pve.oci.mtree.zst";

    /** An image has no more entries than this by default; a record with more is not one of ours. */
    private static final long MAXIMUM_LINES = 20_000_000;

    /** Packed. A file may have holes, and a frame of zstd may hold nothing: neither takes room, both take time. */
    private static final long MAXIMUM_PACKED_SIZE = 1L << 30;

    /** The record of a tree with as many entries as are allowed takes about a third of it. */
    private static final long MAXIMUM_SIZE = 8L << 30;

    private static final byte[] FILE = NAME.getBytes(StandardCharsets.US_ASCII);
    private static final CString FILE_NAME = CString.of(FILE);

    private TreeRecord() {}

    /**
     * Writes the record of the tree into its root directory, in place of whatever has its name.
     *
     * @param root the root directory, open for reading
     * @param steps count what is done
     */
    public static void write(Fd root, Steps steps) throws IOException {
        FileStatus status = new FileStatus().read(root.number());
        long seconds = status.modifiedSeconds();
        int nanos = status.modifiedNanos();
        try {
            writeFile(root, steps);
        } finally {
            // writing the record must not change the time of the root directory
            Libc.futimens(root.number(), new Timespec().set(seconds, nanos));
        }
    }

    private static void writeFile(Fd root, Steps steps) throws IOException {
        TreeRemoval.ofMount(root, steps).removeIfThere(root, FILE);
        Fd fd = new Fd(Libc.openat(root.number(), FILE_NAME.address(), Libc.NEW_FILE, 0600));
        try (MtreeWriter writer =
                new MtreeWriter(new BufferedOutputStream(ZstdStreams.compressing(new FdOutputStream(fd)), 1 << 16))) {
            new TreeWalk(root, steps).run(directory -> true, (entry, isMountPoint) -> {
                if (!isMountPoint) {
                    writer.write(entry);
                }
            });
        }
    }

    /**
     * Compares the tree with its record. Both are read as streams, side by side.
     *
     * @throws RecordException there is no record, or none that can be used
     */
    public static void compare(Fd root, Changes changes, Steps steps) throws IOException {
        compare(root, root, changes, null, steps);
    }

    /**
     * Compares the tree with what an image has just made elsewhere, contents too. The tree's own record is not used,
     * because the container's root may have changed it.
     *
     * @param image root directory of what the image made; a record is written there
     */
    public static void compareWithImage(Fd root, Fd image, Changes changes, Steps steps) throws IOException {
        write(image, steps);
        compare(root, image, changes, new ContentComparison(root, image, steps), steps);
    }

    private static void compare(
            Fd root, Fd recorded, Changes changes, @Nullable ContentComparison contents, Steps steps)
            throws IOException {
        try (MtreeReader record = open(recorded)) {
            Merge merge = new Merge(record, changes, contents);
            new TreeWalk(root, steps).run(changes::isEntered, merge::present);
            merge.finish();
        }
    }

    /** For a tree without a record: finds its mount points and the files that the host has written. */
    public static void findMountPoints(Fd root, Changes changes, Steps steps) throws IOException {
        new TreeWalk(root, steps).run(changes::isEntered, (entry, isMountPoint) -> {
            if (isMountPoint) {
                changes.mountPoint(entry);
            } else {
                changes.unknown(entry);
            }
        });
    }

    private static MtreeReader open(Fd root) throws IOException {
        Fd fd;
        try {
            int flags = Libc.O_RDONLY | Libc.O_NOFOLLOW | Libc.O_NONBLOCK | Libc.O_CLOEXEC;
            fd = new Fd(Libc.openat(root.number(), FILE_NAME.address(), flags, 0));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                throw RecordException.missing();
            }
            throw RecordException.damaged(0, "cannot be read: " + Errno.describe(e.errno()));
        }
        try {
            FileStatus status = new FileStatus().read(fd.number());
            // O_NONBLOCK: a FIFO that was planted here is not waited for
            if (status.type() != Libc.S_IFREG) {
                throw RecordException.damaged(0, "is no file");
            }
            if (status.size() > MAXIMUM_PACKED_SIZE) {
                throw RecordException.damaged(0, "is in a file of more than " + MAXIMUM_PACKED_SIZE + " bytes");
            }
            return new MtreeReader(ZstdStreams.decompressing(new FdInputStream(fd)), MAXIMUM_LINES, MAXIMUM_SIZE);
        } catch (IOException | RuntimeException e) {
            fd.close();
            throw e;
        }
    }

    /** Goes through tree and record side by side; both have the same order. */
    private static final class Merge {
        private final MtreeReader record;
        private final Changes changes;
        private final @Nullable ContentComparison contents;
        private @Nullable TreeEntry recorded;

        Merge(MtreeReader record, Changes changes, @Nullable ContentComparison contents) throws IOException {
            this.record = record;
            this.changes = changes;
            this.contents = contents;
            recorded = record.next();
        }

        void present(TreeEntry entry, boolean isMountPoint) throws IOException {
            int order = skipTo(entry);
            if (order == 0 && recorded != null) {
                if (isMountPoint) {
                    changes.mountPoint(entry);
                } else {
                    changes.compared(entry, differences(recorded, entry));
                }
                recorded = record.next();
            } else if (isMountPoint) {
                changes.mountPoint(entry);
            } else {
                changes.added(entry);
            }
        }

        private List<String> differences(TreeEntry before, TreeEntry entry) throws IOException {
            List<String> differences = before.differences(entry);
            boolean isSameSize =
                    entry.type() == Libc.S_IFREG && before.type() == Libc.S_IFREG && before.size() == entry.size();
            if (contents == null || !isSameSize || !contents.differs(entry.path())) {
                return differences;
            }
            List<String> all = new ArrayList<>(differences);
            all.add("content");
            return all;
        }

        /** Notes that entries which the record has before this one are no longer in the tree. */
        private int skipTo(TreeEntry entry) throws IOException {
            while (recorded != null) {
                int order = recorded.compareTo(entry);
                if (order >= 0) {
                    return order;
                }
                changes.removed(recorded);
                recorded = record.next();
            }
            return 1;
        }

        void finish() throws IOException {
            while (recorded != null) {
                changes.removed(recorded);
                recorded = record.next();
            }
        }
    }
}
