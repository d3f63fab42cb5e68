package pve.oci.rootfs;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.text.Text;

/**
 * What stood below the root before the extraction: directories of mount points, {@code lost+found}, and whatever other
 * volumes mounted below hold. It is never removed or replaced, and after a failure it is all that is left.
 */
public final class ExistingEntries {
    /** A container's volumes are new: a handful of directories. The bound keeps a mistaken path from being walked. */
    public static final int MAXIMUM = 10_000;

    /**
     * One entry.
     *
     * @param path a character a byte (ISO 8859-1)
     * @param attributes null for what is no directory: nothing of it is ever changed
     */
    record ExistingEntry(String path, @Nullable Attributes attributes) {
        byte[] pathBytes() {
            return path.getBytes(StandardCharsets.ISO_8859_1);
        }
    }

    /** What an image's entry for a directory replaces, and a failure brings back. */
    record Attributes(FileMetadata metadata, Map<String, String> extended) {}

    private final Map<String, ExistingEntry> entries = new LinkedHashMap<>();
    private final LongSet keys = new LongSet();

    /** Paths of directories that something is mounted on. */
    private final List<String> mountPoints = new ArrayList<>();

    private ExistingEntries() {}

    /**
     * Walks what is there. Refused: any entry on the root's own file system that is neither a directory nor below
     * {@code lost+found}, because then this is no new root file system.
     */
    static ExistingEntries read(Fd root) throws IOException {
        ExistingEntries existing = new ExistingEntries();
        FileStatus status = new FileStatus().read(root.number());
        existing.add(new byte[0], status, new ExtendedAttributes().read(root));
        new Walk(existing, status.device()).run(root);
        return existing;
    }

    boolean containsKey(long key) {
        return keys.contains(key);
    }

    /** The error for an image's entry that would replace what has this path. */
    ProtectedEntryException refusal(byte[] path) {
        String text = new String(path, StandardCharsets.ISO_8859_1);
        for (String mountPoint : mountPoints) {
            byte[] bytes = mountPoint.getBytes(StandardCharsets.ISO_8859_1);
            if (text.equals(mountPoint)) {
                return new ProtectedEntryException(path, "a mount point");
            }
            if (mountPoint.startsWith(text + "/")) {
                return new ProtectedEntryException(path, "which holds the mount point " + Text.name(bytes));
            }
            if (text.startsWith(mountPoint + "/")) {
                return new ProtectedEntryException(path, "which is in the mount point " + Text.name(bytes));
            }
        }
        return new ProtectedEntryException(path, "which is not of this image");
    }

    Iterable<ExistingEntry> entries() {
        return entries.values();
    }

    private ExistingEntry add(byte[] path, @Nullable FileStatus status, Map<String, String> extended)
            throws IOException {
        if (entries.size() >= MAXIMUM) {
            throw new RootfsNotEmptyException(MAXIMUM);
        }
        Attributes attributes = null;
        if (status != null) {
            FileMetadata metadata = new FileMetadata(
                    status.mode() & Libc.S_PERMISSIONS,
                    status.uid(),
                    status.gid(),
                    status.modifiedSeconds(),
                    status.modifiedNanos());
            attributes = new Attributes(metadata, extended);
        }
        ExistingEntry entry = new ExistingEntry(new String(path, StandardCharsets.ISO_8859_1), attributes);
        entries.put(entry.path(), entry);
        return entry;
    }

    /** For the process that cleans up when this one has died: a text for each entry, read by {@link #ofTexts}. */
    public List<String> toTexts() {
        List<String> texts = new ArrayList<>();
        for (ExistingEntry entry : entries.values()) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("path", entry.path());
            if (entry.attributes() != null) {
                FileMetadata metadata = entry.attributes().metadata();
                json.put(
                        "directory",
                        List.of(metadata.mode(), metadata.uid(), metadata.gid(), metadata.seconds(), metadata.nanos()));
                json.put("extended", entry.attributes().extended());
            }
            texts.add(new String(Json.write(json), StandardCharsets.UTF_8));
        }
        return texts;
    }

    /** The list that another process wrote by {@link #toTexts}, matched with what is there now. */
    static ExistingEntries ofTexts(Fd root, List<?> texts) throws IOException {
        ExistingEntries existing = new ExistingEntries();
        for (Object text : texts) {
            ExistingEntry entry = entryOf(String.valueOf(text));
            existing.entries.put(entry.path(), entry);
        }
        new Walk(existing, -1).run(root);
        return existing;
    }

    private static ExistingEntry entryOf(String text) {
        Map<String, @Nullable Object> json;
        try {
            json = Json.parseObject(text.getBytes(StandardCharsets.UTF_8), JsonLimits.DEFAULT);
        } catch (JsonFormatException e) {
            throw new IllegalArgumentException("existing entry", e);
        }
        Attributes attributes = null;
        if (json.get("directory") instanceof List<?> numbers && numbers.size() == 5) {
            long[] n = numbers.stream()
                    .mapToLong(x -> x instanceof Number y ? y.longValue() : 0)
                    .toArray();
            Map<String, String> extended = new LinkedHashMap<>();
            if (json.get("extended") instanceof Map<?, ?> map) {
                map.forEach((name, value) -> extended.put(String.valueOf(name), String.valueOf(value)));
            }
            attributes =
                    new Attributes(new FileMetadata((int) n[0], (int) n[1], (int) n[2], n[3], (int) n[4]), extended);
        }
        return new ExistingEntry(String.valueOf(json.get("path")), attributes);
    }

    /** One walk over the directories, breadth first, no more than one open at a time. */
    private static final class Walk {
        private static final byte[] LOST_AND_FOUND = "lost+found".getBytes(StandardCharsets.US_ASCII);

        private final ExistingEntries existing;
        private final long rootDevice;
        private final DirectoryReader reader = new DirectoryReader();
        private final FileStatus status = new FileStatus();
        private final ExtendedAttributes extended = new ExtendedAttributes();
        private final CString name = new CString(4096);
        private final Deque<ExistingEntry> pending = new ArrayDeque<>();

        /** @param rootDevice -1: entries are known already, only their keys are made */
        Walk(ExistingEntries existing, long rootDevice) {
            this.existing = existing;
            this.rootDevice = rootDevice;
        }

        void run(Fd root) throws IOException {
            pending.add(existing.entries.getOrDefault("", new ExistingEntry("", null)));
            while (!pending.isEmpty()) {
                ExistingEntry entry = pending.remove();
                byte[] path = entry.path().isEmpty() ? new byte[] {'.'} : entry.pathBytes();
                try (Fd fd = open(root, path)) {
                    list(fd, entry);
                } catch (ErrnoException e) {
                    // lost+found of a file system that root of the map does not own; or, cleaning up, no longer there
                    if (e.errno() != Errno.EACCES && e.errno() != Errno.ENOENT) {
                        throw e;
                    }
                }
            }
        }

        private void list(Fd fd, ExistingEntry parent) throws IOException {
            status.read(fd.number());
            long device = status.device();
            long inode = status.inode();
            List<byte[]> names = new ArrayList<>();
            reader.list(fd, (bytes, type) -> {
                if (names.size() > MAXIMUM) {
                    throw new RootfsNotEmptyException(MAXIMUM);
                }
                names.add(bytes);
                return true;
            });
            for (byte[] bytes : names) {
                byte[] path = join(parent.pathBytes(), bytes);
                status.read(fd.number(), name.set(bytes));
                ExistingEntry entry = known(fd, bytes, path, device);
                if (entry != null) {
                    existing.keys.add(EntryKeys.key(device, inode, bytes));
                    if (status.isMountRoot()) {
                        existing.mountPoints.add(entry.path());
                    }
                    if (status.isDirectory() && entry.attributes() != null) {
                        pending.add(entry);
                    }
                }
            }
        }

        private @Nullable ExistingEntry known(Fd parent, byte[] bytes, byte[] path, long parentDevice)
                throws IOException {
            if (rootDevice < 0) {
                return existing.entries.get(new String(path, StandardCharsets.ISO_8859_1));
            }
            if (status.isDirectory()) {
                return existing.add(path, status, extendedOf(parent, bytes));
            }
            if (parentDevice == rootDevice && !isLostAndFound(path)) {
                throw new RootfsNotEmptyException(path);
            }
            return existing.add(path, null, Map.of());
        }

        private Map<String, String> extendedOf(Fd parent, byte[] bytes) throws IOException {
            try (Fd fd = open(parent, bytes)) {
                return extended.read(fd);
            } catch (ErrnoException e) {
                if (e.errno() == Errno.EACCES) {
                    return Map.of();
                }
                throw e;
            }
        }

        private Fd open(Fd parent, byte[] bytes) throws ErrnoException {
            return Fd.openDirectory(parent, name.set(bytes));
        }

        private static boolean isLostAndFound(byte[] path) {
            int length = LOST_AND_FOUND.length;
            return path.length > length
                    && path[length] == '/'
                    && Arrays.equals(path, 0, length, LOST_AND_FOUND, 0, length);
        }

        private static byte[] join(byte[] parent, byte[] name) {
            if (parent.length == 0) {
                return name;
            }
            byte[] path = Arrays.copyOf(parent, parent.length + 1 + name.length);
            path[parent.length] = '/';
            System.arraycopy(name, 0, path, parent.length + 1, name.length);
            return path;
        }
    }
}
