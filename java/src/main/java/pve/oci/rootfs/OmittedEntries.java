package pve.oci.rootfs;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Places of devices that were left out: hard links to them are left out too. A place is a name in a directory, whatever
 * path leads there, until something else takes the name.
 */
final class OmittedEntries {
    /** More devices than any image has. Those beyond are not remembered, so a hard link to one is an error. */
    private static final int MAXIMUM = 10_000;

    /** By the key of the directory: keys of entries, with the number of the layer that has the device. */
    private final Map<Long, Map<Long, Integer>> places = new HashMap<>();

    /** Devices whose directory was not made: the path as the image has it. */
    private final Set<String> paths = new HashSet<>();

    private int count;
    private int layer;

    void beginLayer() {
        layer++;
    }

    void add(@Nullable Directory parent, EntryPath path) {
        if (count >= MAXIMUM) {
            return;
        }
        if (parent == null) {
            count += paths.add(text(path)) ? 1 : 0;
        } else {
            Map<Long, Integer> names = places.computeIfAbsent(directoryKey(parent), key -> new HashMap<>());
            count += names.put(EntryKeys.key(parent, path), layer) == null ? 1 : 0;
        }
    }

    boolean contains(@Nullable Directory parent, EntryPath path) {
        if (count == 0) {
            return false;
        }
        Map<Long, Integer> names = parent == null ? null : places.get(directoryKey(parent));
        return (names != null && parent != null && names.containsKey(EntryKeys.key(parent, path)))
                || paths.contains(text(path));
    }

    /** To be called when something else has taken the name. */
    void replace(Directory parent, EntryPath path) {
        if (count > 0) {
            replace(parent, EntryKeys.key(parent, path));
            count -= paths.remove(text(path)) ? 1 : 0;
        }
    }

    void replace(Directory parent, byte[] name) {
        if (count > 0) {
            replace(parent, EntryKeys.key(parent, name));
        }
    }

    private void replace(Directory parent, long key) {
        Map<Long, Integer> names = places.get(directoryKey(parent));
        if (names != null && names.remove(key) != null) {
            count--;
        }
    }

    /** To be called when a whiteout removes the name: a device of a lower layer is gone. */
    void whiteOut(Directory parent, byte[] name) {
        Map<Long, Integer> names = count == 0 ? null : places.get(directoryKey(parent));
        long key = EntryKeys.key(parent, name);
        Integer of = names == null ? null : names.get(key);
        if (names != null && of != null && of != layer) {
            names.remove(key);
            count--;
        }
    }

    /**
     * The directory was emptied of what lower layers have.
     *
     * @param order gets each device that is gone
     */
    void whiteOutAll(long device, long inode, WhiteoutOrder order) throws WhiteoutOrderException {
        Map<Long, Integer> names = count == 0 ? null : places.get(EntryKeys.key(device, inode));
        if (names == null) {
            return;
        }
        for (Map.Entry<Long, Integer> place : List.copyOf(names.entrySet())) {
            if (place.getValue() != layer) {
                order.whitedOut(place.getKey());
                names.remove(place.getKey());
                count--;
            }
        }
    }

    /** To be called when the directory was removed: another one may get its inode number. */
    void removeDirectory(long device, long inode) {
        Map<Long, Integer> names = count == 0 ? null : places.remove(EntryKeys.key(device, inode));
        if (names != null) {
            count -= names.size();
        }
    }

    void clear() {
        places.clear();
        paths.clear();
        count = 0;
    }

    private static long directoryKey(Directory directory) {
        return EntryKeys.key(directory.device(), directory.inode());
    }

    private static String text(EntryPath path) {
        return new String(path.bytes(), 0, path.length(), StandardCharsets.ISO_8859_1);
    }
}
