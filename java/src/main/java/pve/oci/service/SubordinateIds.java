package pve.oci.service;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The host's IDs that containers may be given: root's lines of subuid(5) or subgid(5), or any. */
public final class SubordinateIds {
    private record SubordinateRange(long first, long count) {}

    private static final SubordinateRange USUAL = new SubordinateRange(100_000, 65_536);

    private final String origin;
    private final boolean any;
    private final List<SubordinateRange> ranges;

    private SubordinateIds(String origin, boolean any, List<SubordinateRange> ranges) {
        this.origin = origin;
        this.any = any;
        this.ranges = ranges;
    }

    public static SubordinateIds any() {
        return new SubordinateIds("any", true, List.of());
    }

    /**
     * If there is no file, or no line for root in it, root has the range of every Proxmox VE host, {@code
     * 100000:65536}. Malformed lines are ignored, as by newuidmap(1).
     */
    public static SubordinateIds ofFile(Path file) {
        List<SubordinateRange> ranges = new ArrayList<>();
        try {
            for (String line : Files.readAllLines(file)) {
                String[] fields = line.trim().split(":", -1);
                if (fields.length == 3 && (fields[0].equals("root") || fields[0].equals("0"))) {
                    addRange(ranges, fields[1], fields[2]);
                }
            }
        } catch (IOException e) {
            ranges.clear();
        }
        if (ranges.isEmpty()) {
            ranges.add(USUAL);
        }
        return new SubordinateIds(file.toString(), false, List.copyOf(ranges));
    }

    private static void addRange(List<SubordinateRange> ranges, String first, String count) {
        try {
            ranges.add(new SubordinateRange(Long.parseLong(first), Long.parseLong(count)));
        } catch (NumberFormatException e) {
            // a malformed line counts for nothing
        }
    }

    boolean contains(long first, long count) {
        return any
                || ranges.stream()
                        .anyMatch(range -> first >= range.first() && first + count <= range.first() + range.count());
    }

    /** The file's name, for messages. */
    String origin() {
        return origin;
    }
}
