package pve.oci.rootfs;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

/**
 * Lists what stands below a root, breadth first, with no more than one directory open at a time. Listing costs little
 * however large a volume is that is mounted below: one that holds more than {@link #MAXIMUM_IN_VOLUME} entries is not
 * listed further but closed, which means that nothing in it may be made, changed or removed.
 *
 * <p>This is the answer to "may this root directory be used?" for the daemon and for workers alike; the embedded
 * engine's caller has the same rule in PVE::OCI::RootDirectory.
 */
public final class ExistingWalk {
    /** A new root file system has a handful of directories. The bound keeps a mistaken path from being walked. */
    static final int MAXIMUM = 10_000;

    static final int MAXIMUM_IN_VOLUME = 1_000;

    private static final byte[] LOST_AND_FOUND = "lost+found".getBytes(StandardCharsets.US_ASCII);

    private final ExistingEntries existing;
    private final DirectoryReader reader = new DirectoryReader();
    private final FileStatus status = new FileStatus();
    private final ExtendedAttributes extended = new ExtendedAttributes();
    private final CString name = new CString(255);
    private final PathOpener opener = new PathOpener();
    private final Deque<Pending> pending = new ArrayDeque<>();
    private final Map<Long, Integer> counts = new HashMap<>();
    private final Map<Long, ExistingEntry> volumes = new HashMap<>();
    private long rootMountId;

    /** A directory that is still to be listed. */
    private static final class Pending {
        private final byte[] path;
        private final long mountId;

        private Pending(byte[] path, long mountId) {
            this.path = path;
            this.mountId = mountId;
        }
    }

    /**
     * Walks what is there. Refused: any entry of the root's own mount that is neither a directory nor below
     * {@code lost+found}, because then this is no new root file system.
     */
    public static ExistingEntries read(Fd root) throws IOException {
        ExistingEntries existing = new ExistingEntries();
        new ExistingWalk(existing).run(root);
        return existing;
    }

    private ExistingWalk(ExistingEntries existing) {
        this.existing = existing;
    }

    void run(Fd root) throws IOException {
        try (Fd fd = opener.directory(root, new byte[0])) {
            status.read(fd.number());
            rootMountId = status.mountId();
            addDirectory(new byte[0], extended.read(fd));
        }
        pending.add(new Pending(new byte[0], rootMountId));
        while (!pending.isEmpty()) {
            Pending next = pending.remove();
            if (existing.isClosed(next.mountId)) {
                continue;
            }
            try (Fd fd = opener.directory(root, next.path)) {
                list(fd, next);
            } catch (ErrnoException e) {
                // lost+found of a file system that root of the map does not own
                if (e.errno() != Errno.EACCES) {
                    throw e;
                }
            }
        }
    }

    private void list(Fd fd, Pending directory) throws IOException {
        status.read(fd.number());
        long device = status.device();
        long inode = status.inode();
        int left = maximum(directory.mountId) - counts.getOrDefault(directory.mountId, 0);
        List<byte[]> names = new ArrayList<>();
        boolean isWhole = reader.list(fd, (bytes, type) -> {
            names.add(bytes);
            return names.size() <= left;
        });
        if (!isWhole || names.size() > left) {
            tooMany(directory);
            return;
        }
        counts.merge(directory.mountId, names.size(), Integer::sum);
        for (byte[] bytes : names) {
            byte[] path = PathOpener.join(directory.path, bytes);
            status.read(fd.number(), name.set(bytes));
            if (status.isDirectory()) {
                add(fd, bytes, path);
            } else if (isOfRoot(status.mountId()) && !isLostAndFound(path)) {
                throw RootfsNotEmptyException.holds(path);
            } else {
                existing.add(new ExistingEntry(asText(path), false, false, null));
            }
            existing.addKey(EntryKeys.key(device, inode, bytes));
        }
    }

    private int maximum(long mountId) {
        return isOfRoot(mountId) ? MAXIMUM : MAXIMUM_IN_VOLUME;
    }

    private boolean isOfRoot(long mountId) {
        return mountId == rootMountId;
    }

    private void tooMany(Pending directory) throws RootfsNotEmptyException {
        if (isOfRoot(directory.mountId)) {
            throw RootfsNotEmptyException.holdsMoreThan(MAXIMUM);
        }
        close(directory.mountId);
    }

    private void close(long mountId) {
        existing.closeMount(mountId);
        ExistingEntry volume = volumes.get(mountId);
        if (volume != null) {
            existing.add(new ExistingEntry(volume.path(), true, true, volume.attributes()));
        }
    }

    private void add(Fd parent, byte[] bytes, byte[] path) throws IOException {
        long mountId = status.mountId();
        Map<String, String> attributes = Map.of();
        boolean isReadable = true;
        try (Fd fd = opener.directory(parent, bytes)) {
            attributes = extended.read(fd);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EACCES) {
                throw e;
            }
            isReadable = false;
        }
        addDirectory(path, attributes);
        if (isReadable) {
            pending.add(new Pending(path, mountId));
        } else if (!isOfRoot(mountId)) {
            close(mountId);
        }
    }

    private void addDirectory(byte[] path, Map<String, String> attributes) {
        ExistingEntry entry =
                new ExistingEntry(asText(path), true, false, ExistingEntry.Attributes.of(status, attributes));
        existing.add(entry);
        existing.addDirectory(entry.path(), status);
        // breadth first: the first directory found of a mount is its root
        volumes.putIfAbsent(status.mountId(), entry);
    }

    private static boolean isLostAndFound(byte[] path) {
        int length = LOST_AND_FOUND.length;
        return path.length > length && path[length] == '/' && Arrays.equals(path, 0, length, LOST_AND_FOUND, 0, length);
    }

    private static String asText(byte[] path) {
        return new String(path, StandardCharsets.ISO_8859_1);
    }
}
