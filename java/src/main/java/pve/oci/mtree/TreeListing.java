package pve.oci.mtree;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Threads;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.DirectoryReader;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.PathOpener;

/**
 * Lists a tree for {@link TreeWalk}, in a thread of its own that is a few batches ahead: names, and what statx(2) tells
 * of them. This is about half of the work.
 */
final class TreeListing implements AutoCloseable {
    /** Bytes of names held at once, of a directory and of those above it. */
    private static final long MAXIMUM_NAMES_SIZE = 128 << 20;

    private static final byte[] LOST_AND_FOUND = "lost+found".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] RESERVED = ".pve.".getBytes(StandardCharsets.US_ASCII);

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
    private final Predicate<TreeEntry> isEntered;
    private final BatchQueue queue = new BatchQueue();
    private final Thread thread = new Thread(this::run, "tree-listing");

    // the thread's
    private final DirectoryReader reader = new DirectoryReader();
    private final FileStatus status = new FileStatus();
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final PathOpener opener = new PathOpener();
    private EntryBatch batch = new EntryBatch();
    private long namesSize;

    private TreeListing(Fd root, Predicate<TreeEntry> isEntered) {
        this.root = root;
        this.isEntered = isEntered;
        thread.setDaemon(true);
    }

    /** @param isEntered whether to list what is below a directory; called in the other thread */
    static TreeListing start(Fd root, Predicate<TreeEntry> isEntered) {
        TreeListing listing = new TreeListing(root, isEntered);
        listing.thread.start();
        return listing;
    }

    /** The next entries, or null after the last. The caller closes the batch. */
    @Nullable
    EntryBatch next() throws IOException {
        return queue.take();
    }

    /** Nobody wants more. */
    private static final class ClosedException extends Exception {
        private static final long serialVersionUID = 1;
    }

    private void run() {
        Throwable failure = null;
        try {
            try {
                listAll();
            } finally {
                queue.put(batch);
            }
        } catch (ClosedException | InterruptedException e) {
            // closed in the middle: nobody waits for more
        } catch (IOException | RuntimeException | Error e) {
            failure = e;
        }
        queue.end(failure);
    }

    private void listAll() throws IOException, ClosedException, InterruptedException {
        Deque<Level> levels = new ArrayDeque<>();
        push(levels, list(new byte[0]));
        while (!levels.isEmpty()) {
            Level level = levels.element();
            if (level.at == level.order.length) {
                namesSize -= level.names.byteCount();
                levels.pop();
            } else {
                byte[] child = level.names.get(level.order[level.at++]);
                push(levels, list(PathOpener.join(level.path, child)));
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

    /** Lists what is in one directory; returns its subdirectories, or null if it has none or cannot be opened. */
    private @Nullable Level list(byte[] path) throws IOException, ClosedException, InterruptedException {
        Fd fd = open(path);
        if (fd == null) {
            return null;
        }
        try {
            NameList all = names(fd, path.length == 0);
            NameList directories = new NameList();
            for (int index : all.order()) {
                byte[] bytes = all.get(index);
                status.read(fd.number(), name.set(bytes, 0, bytes.length));
                boolean isMountPoint = status.isMountRoot();
                TreeEntry entry = entry(PathOpener.join(path, bytes));
                if (entry.isDirectory()
                        && !isMountPoint
                        && entry.path().length < EntryPath.PATH_MAX
                        && isEntered.test(entry)) {
                    directories.add(bytes);
                }
                batch.add(new EntryBatch.Item(fd, entry, isMountPoint));
                handOverIfFull();
            }
            return directories.size() == 0 ? null : new Level(path, directories);
        } finally {
            // not closed here: the other thread has not come that far
            batch.addFinished(fd);
            handOverIfFull();
        }
    }

    private void handOverIfFull() throws ClosedException, InterruptedException {
        if (batch.isFull()) {
            EntryBatch full = batch;
            batch = new EntryBatch();
            if (!queue.put(full)) {
                throw new ClosedException();
            }
        }
    }

    private NameList names(Fd fd, boolean isRoot) throws IOException {
        NameList all = new NameList();
        reader.list(fd, (bytes, type) -> {
            if (!isRoot || !isReserved(bytes)) {
                all.add(bytes);
                if ((all.size() & 0xffff) == 0) {
                    checkSize(namesSize + all.byteCount());
                }
            }
            return true;
        });
        return all;
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

    private TreeEntry entry(byte[] path) {
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
                null,
                null);
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

    /** Ends the thread, and closes what it holds. */
    @Override
    public void close() {
        queue.close();
        Threads.joinAll(List.of(thread));
    }
}
