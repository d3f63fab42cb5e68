package pve.oci.service;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import pve.oci.varlink.VarlinkException;

/**
 * An ID map of a container's user namespace that has been checked. The kernel lets root write any map, so what root may
 * map, by /etc/subuid, is checked here.
 *
 * @param ranges in the caller's order; empty: no user namespace
 */
public record IdMap(List<IdMapRange> ranges) {
    /** user_namespaces(7): (uid_t) -1 is no ID. */
    private static final long IDS = 0xffff_ffffL;

    /** user_namespaces(7): the kernel takes 340 lines. PVE writes one to five. */
    private static final int MAXIMUM_RANGES = 340;

    public static final IdMap NONE = new IdMap(List.of());

    public IdMap {
        ranges = List.copyOf(ranges);
    }

    /**
     * Checks the ranges against each other and against what may be mapped.
     *
     * @param parameter the call's parameter, which errors name
     */
    static IdMap checked(String parameter, List<IdMapRange> ranges, SubordinateIds subordinate)
            throws VarlinkException {
        if (ranges.isEmpty()) {
            return NONE;
        }
        require(ranges.size() <= MAXIMUM_RANGES, parameter, "more than " + MAXIMUM_RANGES + " ranges");
        SubordinateIds.Allowed allowed = subordinate.read();
        for (IdMapRange range : ranges) {
            require(range.count() > 0 && range.count() <= IDS, parameter, "range '" + range + "': count is not valid");
            require(isWithinIds(range.inside(), range.count()), parameter, "range '" + range + "': ID out of range");
            require(isWithinIds(range.outside(), range.count()), parameter, "range '" + range + "': ID out of range");
            require(range.outside() > 0, parameter, "range '" + range + "' maps the host's root");
            require(
                    allowed.contains(range.outside(), range.count()),
                    parameter,
                    "range '" + range + "' is not within root's ranges in " + subordinate.origin());
        }
        requireDisjoint(parameter, ranges, Comparator.comparingLong(IdMapRange::inside), true);
        requireDisjoint(parameter, ranges, Comparator.comparingLong(IdMapRange::outside), false);
        require(ranges.stream().anyMatch(range -> range.inside() == 0), parameter, "root is not mapped");
        return new IdMap(ranges);
    }

    private static boolean isWithinIds(long first, long count) {
        return first >= 0 && first < IDS && count <= IDS - first;
    }

    private static void requireDisjoint(
            String parameter, List<IdMapRange> ranges, Comparator<IdMapRange> order, boolean inside)
            throws VarlinkException {
        List<IdMapRange> sorted = new ArrayList<>(ranges);
        sorted.sort(order);
        for (int i = 1; i < sorted.size(); i++) {
            IdMapRange before = sorted.get(i - 1);
            IdMapRange range = sorted.get(i);
            long end = (inside ? before.inside() : before.outside()) + before.count();
            require(
                    end <= (inside ? range.inside() : range.outside()),
                    parameter,
                    "ranges '" + before + "' and '" + range + "' overlap " + (inside ? "inside" : "on the host"));
        }
    }

    private static void require(boolean condition, String parameter, String reason) throws VarlinkException {
        if (!condition) {
            throw OciErrors.invalidArgument(parameter, "invalid ID map: " + reason);
        }
    }

    public boolean isEmpty() {
        return ranges.isEmpty();
    }

    /** The host's ID of the container's root; 0, the host's root, when there is no map. */
    public long mappedRoot() {
        return ranges.stream()
                .filter(range -> range.inside() == 0)
                .mapToLong(IdMapRange::outside)
                .findFirst()
                .orElse(0);
    }

    /** "0 100000 65536,65536 200000 1": as the launcher takes it. */
    public String asArgument() {
        return ranges.stream().map(IdMapRange::toString).collect(Collectors.joining(","));
    }
}
