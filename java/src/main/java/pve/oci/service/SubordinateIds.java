package pve.oci.service;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The host's IDs that containers may be given: root's lines of subuid(5) or subgid(5), or any. */
public final class SubordinateIds {
    private record SubordinateRange(long first, long count) {}

    /** What the file says at the moment. */
    static final class Allowed {
        private final @Nullable List<SubordinateRange> ranges;

        private Allowed(@Nullable List<SubordinateRange> ranges) {
            this.ranges = ranges;
        }

        boolean contains(long first, long count) {
            return ranges == null
                    || ranges.stream()
                            .anyMatch(
                                    range -> first >= range.first() && first + count <= range.first() + range.count());
        }
    }

    private static final SubordinateRange USUAL = new SubordinateRange(100_000, 65_536);

    private final @Nullable Path file;

    private SubordinateIds(@Nullable Path file) {
        this.file = file;
    }

    public static SubordinateIds any() {
        return new SubordinateIds(null);
    }

    /**
     * If there is no file, or no line for root in it, root has the range of every Proxmox VE host, {@code
     * 100000:65536}. Malformed lines are ignored, as by newuidmap(1).
     */
    public static SubordinateIds ofFile(Path file) {
        return new SubordinateIds(file);
    }

    /** Reads the file, so that a line that is added counts for the next job. */
    Allowed read() {
        if (file == null) {
            return new Allowed(null);
        }
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
        return new Allowed(List.copyOf(ranges));
    }

    private static void addRange(List<SubordinateRange> ranges, String first, String count) {
        try {
            ranges.add(new SubordinateRange(Long.parseLong(first), Long.parseLong(count)));
        } catch (NumberFormatException e) {
            // a malformed line counts for nothing
        }
    }

    /** The file's name, for messages. */
    String origin() {
        return file == null ? "any" : file.toString();
    }
}
