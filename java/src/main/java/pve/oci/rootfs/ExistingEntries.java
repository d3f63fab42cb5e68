package pve.oci.rootfs;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.FileStatus;
import pve.oci.text.Text;

/**
 * What stood below the root before the extraction: directories of mount points, {@code lost+found}, and whatever other
 * volumes mounted below hold. It is never removed or replaced, and after a failure it is all that is left.
 *
 * <p>{@link ExistingWalk} finds them, {@link AttributeRestore} gives directories their attributes back.
 */
public final class ExistingEntries {
    private final Map<String, ExistingEntry> entries = new LinkedHashMap<>();
    private final LongSet keys = new LongSet();

    /** Paths of directories that something is mounted on. */
    private final List<String> mountPoints = new ArrayList<>();

    /** The mounts of the directories found. */
    private final Set<Long> foundMounts = new HashSet<>();

    /** Those of these mounts that were not listed completely. */
    private final Set<Long> closedMounts = new HashSet<>();

    boolean containsKey(long key) {
        return keys.contains(key);
    }

    /** The error for an image's entry that would replace the existing entry at this path. */
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

    /**
     * Whether not all of the mount is known, so that nothing in it may be made, changed or removed. A mount that was
     * not found at all is below one that is closed.
     */
    boolean isClosed(long mountId) {
        return closedMounts.contains(mountId) || !foundMounts.contains(mountId);
    }

    Iterable<ExistingEntry> entries() {
        return entries.values();
    }

    void add(ExistingEntry entry) {
        entries.put(entry.path(), entry);
    }

    void addKey(long key) {
        keys.add(key);
    }

    /** Notes a directory that was found, and the mount that it is on. */
    void addDirectory(String path, FileStatus status) {
        foundMounts.add(status.mountId());
        if (status.isMountRoot() && !path.isEmpty()) {
            mountPoints.add(path);
        }
    }

    void closeMount(long mountId) {
        closedMounts.add(mountId);
    }

    /** As the type ExistingEntry of io.pve.oci.worker, for the process that cleans up when this one has died. */
    public List<Map<String, @Nullable Object>> toJson() {
        List<Map<String, @Nullable Object>> json = new ArrayList<>();
        entries.values().forEach(entry -> json.add(entry.toJson()));
        return json;
    }

    /** The same without attributes, for a caller that gives them back itself. */
    public List<Map<String, @Nullable Object>> toJsonWithoutAttributes() {
        List<Map<String, @Nullable Object>> json = toJson();
        json.forEach(entry -> entry.remove("attributes"));
        return json;
    }
}
