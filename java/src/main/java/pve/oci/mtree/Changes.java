package pve.oci.mtree;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.text.Text;

/** The differences between a tree and its record. All are counted, the first ones are listed. */
public final class Changes {
    /** Most changes that are listed; the rest is only counted. */
    public static final int MAXIMUM_LISTED = 10_000;

    /** What an entry takes in a layer beside its content, without padding. */
    private static final int HEADER_SIZE = 512;

    /** Why a change does not count: the path stays where it is. */
    private static final String KEPT = "kept";

    private final PathSet kept;
    private final PathSet made;
    private final boolean looksIntoKept;
    private final List<Object> listed = new ArrayList<>();

    /** Directories of the list that were added and count: something that stays may still be found below. */
    private final Map<String, Map<String, @Nullable Object>> addedDirectories = new HashMap<>();

    private final List<String> mountPoints = new ArrayList<>();
    private final List<String> hostFiles = new ArrayList<>();
    private long added;
    private long changed;
    private long removed;
    private long expected;
    private long compared;
    private long comparedSize;

    /** @param kept paths whose changes do not matter: volumes, and what an update is to keep */
    public Changes(PathSet kept) {
        this(kept, new PathSet(List.of()), true);
    }

    /** Leaves out what is below kept paths: that may be millions of files, which an update has nothing to do with. */
    public static Changes withoutKept(PathSet kept) {
        return new Changes(kept, new PathSet(List.of()), false);
    }

    /** @param made directories that were made for the container because its image lacks them */
    public Changes(PathSet kept, PathSet made) {
        this(kept, made, true);
    }

    private Changes(PathSet kept, PathSet made, boolean looksIntoKept) {
        this.kept = kept;
        this.made = made;
        this.looksIntoKept = looksIntoKept;
    }

    /** Whether what is below the entry is to be compared. Any thread may ask. */
    boolean isEntered(TreeEntry entry) {
        return looksIntoKept || !kept.covers(PathSet.text(entry.path()));
    }

    void added(TreeEntry entry) {
        if (note(entry, "added", List.of())) {
            added++;
        }
    }

    /**
     * About how many entries an image of that size has, if it is one of the same kind as the one before. Of that only
     * those entries count that are still there: a container's root may have written anything into the record.
     *
     * @param size of its layers, uncompressed
     */
    public long estimateEntries(long size) {
        return size >= comparedSize ? compared : (long) ((double) compared * size / comparedSize);
    }

    void compared(TreeEntry entry, List<String> differences) {
        compared++;
        comparedSize += HEADER_SIZE + entry.size();
        if (!differences.isEmpty() && note(entry, "changed", differences)) {
            changed++;
        }
    }

    void removed(TreeEntry entry) {
        String path = PathSet.text(entry.path());
        // a mounted volume only hides it; the mount point comes before what lies below it
        boolean isUnseen = isBelowMountPoint(path) || (!looksIntoKept && kept.covers(path));
        if (!isUnseen && note(entry, "removed", List.of())) {
            removed++;
        }
    }

    /** Notes an entry if there is no record: only files that the host may have written matter. */
    void unknown(TreeEntry entry) {
        String path = PathSet.text(entry.path());
        if (Expected.of(path) == Expected.HOST && !kept.covers(path) && hostFiles.size() < MAXIMUM_LISTED) {
            hostFiles.add(path);
        }
    }

    private boolean isBelowMountPoint(String path) {
        return mountPoints.stream().anyMatch(x -> path.startsWith(x + "/"));
    }

    /** An update moves nothing that lies above a mount point, so directories that were made for it do not count. */
    void mountPoint(TreeEntry entry) {
        String path = PathSet.text(entry.path());
        mountPoints.add(path);
        for (int slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
            Map<String, @Nullable Object> above = addedDirectories.remove(path.substring(0, slash));
            if (above != null) {
                above.put("expected", KEPT);
                added--;
                expected++;
            }
        }
    }

    /** Notes a change; returns whether it counts as somebody's. */
    private boolean note(TreeEntry entry, String kind, List<String> differences) {
        String path = PathSet.text(entry.path());
        String reason = null;
        boolean isAddedDirectory = kind.equals("added") && entry.isDirectory();
        if (kept.covers(path) || (isAddedDirectory && kept.isAbove(path))) {
            reason = KEPT;
        } else {
            Expected match = Expected.of(path);
            if (match == null && isAddedDirectory && isMadeByHost(path)) {
                reason = "host";
            } else if (match != null) {
                reason = match.name().toLowerCase(Locale.ROOT);
                if (match == Expected.HOST && !kind.equals("removed") && hostFiles.size() < MAXIMUM_LISTED) {
                    hostFiles.add(path);
                }
            }
        }
        if (reason != null) {
            expected++;
        }
        Map<String, @Nullable Object> json = list(entry, kind, differences, reason);
        if (json != null && reason == null && isAddedDirectory) {
            addedDirectories.put(path, json);
        }
        return reason == null;
    }

    private boolean isMadeByHost(String path) {
        return Expected.isAboveHostFile(path) || made.contains(path) || made.isAbove(path);
    }

    /** Returns what was added to the list; null when that is full. */
    private @Nullable Map<String, @Nullable Object> list(
            TreeEntry entry, String kind, List<String> differences, @Nullable String reason) {
        if (listed.size() >= MAXIMUM_LISTED) {
            return null;
        }
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("path", "/" + Text.name(entry.path()));
        json.put("kind", kind);
        json.put("isDirectory", entry.isDirectory());
        if (!differences.isEmpty()) {
            json.put("differences", differences);
        }
        if (reason != null) {
            json.put("expected", reason);
        }
        listed.add(json);
        return json;
    }

    /** Whether nobody has changed anything. */
    public boolean isEmpty() {
        return added + changed + removed == 0;
    }

    /** How many were changed by somebody. */
    public long count() {
        return added + changed + removed;
    }

    /** Where other volumes are mounted. */
    public List<String> mountPoints() {
        return mountPoints;
    }

    /** Files that Proxmox VE has written, if they differ from the image's. */
    public List<String> hostFiles() {
        return hostFiles;
    }

    /** The first changes, as the interface has them. */
    public List<Object> listed() {
        return listed;
    }

    /** The fields of the interface's type Comparison. */
    public Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("added", added);
        json.put("changed", changed);
        json.put("removed", removed);
        json.put("expected", expected);
        json.put("compared", compared);
        json.put("changes", listed);
        return json;
    }
}
