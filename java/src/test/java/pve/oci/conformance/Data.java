package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;

/** Values in the description of a case. */
final class Data {
    private Data() {}

    static Map<String, @Nullable Object> object(@Nullable Object value) {
        return value instanceof Map<?, ?> map ? Json.asObject(map) : Map.of();
    }

    static List<?> list(@Nullable Object value) {
        return value instanceof List<?> list ? list : List.of();
    }

    static String text(@Nullable Object value, String absent) {
        return value instanceof String text ? text : absent;
    }

    static long number(@Nullable Object value, long absent) {
        return value instanceof Number number ? number.longValue() : absent;
    }

    /**
     * Text as UTF-8, {@code {"hex": "00ff"}}, {@code {"repeat": "x", "times": 5, "then": "y"}}, or a layer's; nothing
     * for null.
     */
    static byte[] bytes(@Nullable Object value) {
        if (value instanceof String text) {
            return text.getBytes(UTF_8);
        }
        Map<String, @Nullable Object> object = object(value);
        if (object.get("layer") instanceof List<?> layer) {
            return LayerBuilder.build(layer).blob;
        }
        if (object.get("hex") instanceof String hex) {
            return HexFormat.of().parseHex(hex.replace(" ", ""));
        }
        String repeated = text(object.get("repeat"), "").repeat((int) number(object.get("times"), 0));
        return (text(object.get("first"), "") + repeated + text(object.get("then"), "")).getBytes(UTF_8);
    }
}
