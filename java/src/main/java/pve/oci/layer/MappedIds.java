package pve.oci.layer;

import java.util.ArrayList;
import java.util.List;

/** The ids inside a user namespace that its map gives an id outside (user_namespaces(7)). */
public final class MappedIds {
    /** chown(2) takes -1 for "leave as it is". */
    private static final long LARGEST_ID = 0xfffffffeL;

    private final List<MappedRange> ranges;

    /** One line of /proc/PID/uid_map, without the ids outside. */
    public record MappedRange(long inside, long count) {
        boolean contains(long id) {
            return id >= inside && id - inside < count;
        }
    }

    /** @param ranges empty for a privileged container, which has every id */
    public MappedIds(List<MappedRange> ranges) {
        this.ranges = List.copyOf(ranges);
    }

    /** A privileged container: no user namespace. */
    public boolean isPrivileged() {
        return ranges.isEmpty();
    }

    /** Whether a file of the container can have this owner or group. */
    public boolean contains(long id) {
        if (ranges.isEmpty()) {
            return id >= 0 && id <= LARGEST_ID;
        }
        for (MappedRange range : ranges) {
            if (range.contains(id)) {
                return true;
            }
        }
        return false;
    }

    /** For messages: "0-65535". */
    @Override
    public String toString() {
        if (ranges.isEmpty()) {
            return "0-" + LARGEST_ID;
        }
        List<String> texts = new ArrayList<>();
        for (MappedRange range : ranges) {
            texts.add(range.inside() + "-" + (range.inside() + range.count() - 1));
        }
        return String.join(", ", texts);
    }
}
