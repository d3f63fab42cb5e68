package pve.oci.conformance;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;

/**
 * One case: an image, and the tree or the error that it must give.
 *
 * @param name unique, begins with its kind
 */
record ConformanceCase(String name, Map<String, @Nullable Object> description) {
    /** Resource files, a kind each. */
    private static final List<String> KINDS = List.of(
            "archive",
            "compression",
            "config",
            "digest",
            "hardlink",
            "limit",
            "overwrite",
            "owner",
            "path",
            "platform",
            "tar",
            "time",
            "type",
            "whiteout",
            "xattr");

    static List<ConformanceCase> all() throws IOException {
        List<ConformanceCase> cases = new ArrayList<>();
        for (String kind : KINDS) {
            try (InputStream in = ConformanceCase.class.getResourceAsStream("/conformance/" + kind + ".json")) {
                if (in == null) {
                    throw new IOException("no cases of the kind " + kind);
                }
                Json.parseObject(in.readAllBytes(), JsonLimits.DEFAULT)
                        .forEach(
                                (name, value) -> cases.add(new ConformanceCase(kind + "-" + name, Data.object(value))));
            }
        }
        return cases;
    }

    byte[] archive() {
        return ImageBuilder.build(description);
    }

    /** What the message of the error must match; null when a tree is expected. */
    @Nullable
    String error() {
        return description.get("error") instanceof String pattern ? pattern : null;
    }

    Map<String, @Nullable Object> tree() {
        return Data.object(description.get("tree"));
    }

    Map<String, @Nullable Object> options() {
        return Data.object(description.get("options"));
    }

    /** Whether it is written for names in ISO 8859-1, a char a byte. */
    boolean isLatin1() {
        return Boolean.TRUE.equals(description.get("latin1"));
    }

    Map<String, @Nullable Object> selector() {
        Map<String, @Nullable Object> selector = Data.object(description.get("selector"));
        return selector.isEmpty() ? Map.of("architecture", "amd64") : selector;
    }
}
