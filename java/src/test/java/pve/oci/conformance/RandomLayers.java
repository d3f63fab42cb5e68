package pve.oci.conformance;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * Layers made at random from a seed: few names, so that entries replace each other, links lead to directories, and one
 * directory has several names. Whiteouts stand anywhere in a layer.
 */
final class RandomLayers {
    /** rwx for owner, group and others, as the attribute has it: version 2, three entries without qualifiers. */
    static final String DEFAULT_ACL = "0200000001000700ffffffff04000700ffffffff20000700ffffffff";

    private static final List<String> NAMES = List.of("a", "b", "c", "d");
    private static final List<String> TARGETS =
            List.of("a", "b", "c", "/a", "/b/c", "../b", "..", ".", "a/b", "b/..", "/", "d/x", "../../a", "c/c");

    private final Random random;

    private RandomLayers(long seed) {
        random = new Random(seed);
    }

    /**
     * One entry, a whiteout included.
     *
     * @param type as in the conformance cases
     * @param target of a link; content of a file
     */
    record RandomEntry(
            String type,
            String name,
            String target,
            int mode,
            int uid,
            int gid,
            long mtime,
            Map<String, String> xattrs) {
        boolean isMarker() {
            return !type.equals("dir")
                    && name.substring(name.lastIndexOf('/') + 1).startsWith(".wh.");
        }

        /** The entry as a conformance case has it. */
        List<Object> toCase() {
            Map<String, Object> options = new LinkedHashMap<>();
            options.put("mode", "%04o".formatted(mode));
            options.put("uid", (long) uid);
            options.put("gid", (long) gid);
            options.put("mtime", mtime);
            if (!xattrs.isEmpty()) {
                Map<String, Object> values = new LinkedHashMap<>();
                xattrs.forEach((key, value) -> values.put(key, key.startsWith("user.") ? value : Map.of("hex", value)));
                options.put("xattrs", values);
            }
            return switch (type) {
                case "dir", "fifo" -> List.of(type, name, options);
                case "char" -> List.of(type, name, List.of(1L, 3L), options);
                default -> List.of(type, name, target, options);
            };
        }
    }

    static List<List<RandomEntry>> make(long seed) {
        RandomLayers made = new RandomLayers(seed);
        List<List<RandomEntry>> layers = new ArrayList<>();
        int count = 1 + made.random.nextInt(3);
        for (int i = 0; i < count; i++) {
            List<RandomEntry> entries = new ArrayList<>();
            int size = 1 + made.random.nextInt(i == 0 ? 7 : 5);
            for (int j = 0; j < size; j++) {
                entries.add(made.entry(i > 0));
            }
            layers.add(entries);
        }
        return layers;
    }

    /** The description of the case that these layers are. */
    static Map<String, @Nullable Object> toCase(List<List<RandomEntry>> layers) {
        List<Object> list = new ArrayList<>();
        layers.forEach(
                entries -> list.add(entries.stream().map(RandomEntry::toCase).toList()));
        Map<String, @Nullable Object> description = new LinkedHashMap<>();
        description.put("layers", list);
        return description;
    }

    private String pick(List<String> of) {
        return of.get(random.nextInt(of.size()));
    }

    private String path() {
        StringBuilder path = new StringBuilder(pick(NAMES));
        for (int depth = random.nextInt(3); depth > 0; depth--) {
            path.append('/').append(pick(NAMES));
        }
        return path.toString();
    }

    private RandomEntry entry(boolean hasLower) {
        int kind = random.nextInt(hasLower ? 25 : 19);
        if (kind >= 19) {
            return marker(kind);
        }
        String name = kind == 0 && random.nextInt(4) == 0 ? "." : path();
        String type = kind < 6 || name.equals(".")
                ? "dir"
                : kind < 10
                        ? "file"
                        : kind < 15 ? "symlink" : kind < 18 ? "link" : random.nextBoolean() ? "fifo" : "char";
        String target = switch (type) {
            case "symlink" -> pick(TARGETS);
            case "link" -> path();
            case "file" -> "x".repeat(random.nextInt(5)) + random.nextInt(100);
            default -> "";
        };
        int mode = type.equals("symlink")
                ? 0777
                : random.nextInt(8) == 0 ? random.nextInt(4096) : 0644 + random.nextInt(2) * 0111;
        Map<String, String> xattrs = new LinkedHashMap<>();
        if (type.equals("dir")) {
            mode |= 0700 | (random.nextInt(5) == 0 ? 02000 : 0);
            if (random.nextInt(6) == 0) {
                xattrs.put("system.posix_acl_default", DEFAULT_ACL);
            }
        }
        if ((type.equals("dir") || type.equals("file")) && random.nextInt(5) == 0) {
            xattrs.put("user." + pick(NAMES), "v" + random.nextInt(10));
        }
        return new RandomEntry(
                type,
                name,
                target,
                mode,
                random.nextInt(100),
                random.nextInt(100),
                1_000_000_000L + random.nextInt(1000),
                xattrs);
    }

    private RandomEntry marker(int kind) {
        String path = path();
        int slash = path.lastIndexOf('/') + 1;
        String name = path.substring(0, slash) + (kind < 23 ? ".wh." + path.substring(slash) : ".wh..wh..opq");
        return new RandomEntry("file", name, "", 0600, 0, 0, 1, Map.of());
    }
}
