package pve.oci.oci;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/**
 * One object of a JSON document and the pointer to it: typed access to its members, with errors that name the place. A
 * member that is {@code null} counts as absent, as Go's decoder has it, which wrote most images.
 */
final class Document {
    private final Map<String, @Nullable Object> members;
    private final String pointer;

    private Document(Map<String, @Nullable Object> members, String pointer) {
        this.members = members;
        this.pointer = pointer;
    }

    static Document parse(byte[] json, JsonLimits limits) throws ImageFormatException {
        try {
            return new Document(Json.parseObject(json, limits), "");
        } catch (JsonFormatException e) {
            throw new ImageFormatException("", Text.clean(String.valueOf(e.getMessage())));
        }
    }

    /** An object that stands in something else than an object. */
    static Document of(Map<String, @Nullable Object> members, String pointer) {
        return new Document(members, pointer);
    }

    String pointer(String name) {
        return pointer + "/" + name;
    }

    boolean has(String name) {
        return members.get(name) != null;
    }

    String string(String name) throws ImageFormatException {
        String value = optionalString(name);
        if (value == null) {
            throw new ImageFormatException(pointer(name), "missing " + name);
        }
        return value;
    }

    @Nullable
    String optionalString(String name) throws ImageFormatException {
        Object value = members.get(name);
        if (value == null || value instanceof String) {
            return (String) value;
        }
        throw wrongType(name, "string");
    }

    long size(String name) throws ImageFormatException {
        Object value = members.get(name);
        if (value == null) {
            throw new ImageFormatException(pointer(name), "missing " + name);
        }
        if (value instanceof Long number) {
            if (number < 0) {
                throw new ImageFormatException(pointer(name), "negative " + name + " " + number);
            }
            return number;
        }
        if (value instanceof java.math.BigInteger) {
            throw new ImageFormatException(pointer(name), name + " is too large: out of the range of 64 bits");
        }
        throw wrongType(name, "integer");
    }

    @Nullable
    Document optionalObject(String name) throws ImageFormatException {
        Object value = members.get(name);
        if (value == null) {
            return null;
        }
        if (value instanceof Map<?, ?> map) {
            return new Document(Json.asObject(map), pointer(name));
        }
        throw wrongType(name, "object");
    }

    Document object(String name) throws ImageFormatException {
        Document value = optionalObject(name);
        if (value == null) {
            throw new ImageFormatException(pointer(name), "missing " + name);
        }
        return value;
    }

    List<Document> objects(String name) throws ImageFormatException {
        List<Document> objects = new ArrayList<>();
        for (Object item : list(name)) {
            if (!(item instanceof Map<?, ?> map)) {
                throw wrongType(name, "array of objects");
            }
            objects.add(new Document(Json.asObject(map), pointer(name) + "/" + objects.size()));
        }
        return objects;
    }

    List<String> strings(String name) throws ImageFormatException {
        List<String> strings = new ArrayList<>();
        for (Object item : list(name)) {
            if (!(item instanceof String text)) {
                throw wrongType(name, "array of strings");
            }
            strings.add(text);
        }
        return strings;
    }

    /** Names only: the members of sets such as Volumes are written as empty objects. */
    void checkSet(String name) throws ImageFormatException {
        optionalObject(name);
    }

    Map<String, String> stringMap(String name) throws ImageFormatException {
        Map<String, String> strings = new LinkedHashMap<>();
        Document map = optionalObject(name);
        if (map != null) {
            for (String key : map.members.keySet()) {
                String value = map.optionalString(key);
                if (value != null) {
                    strings.put(key, value);
                }
            }
        }
        return strings;
    }

    Map<String, @Nullable Object> members() {
        return members;
    }

    private List<?> list(String name) throws ImageFormatException {
        Object value = members.get(name);
        if (value == null) {
            return List.of();
        }
        if (value instanceof List<?> list) {
            return list;
        }
        throw wrongType(name, "array");
    }

    private ImageFormatException wrongType(String name, String wanted) {
        return new ImageFormatException(
                pointer(name), "invalid type of " + Text.clean(name) + ", not " + article(wanted));
    }

    private static String article(String noun) {
        return ("aeiou".indexOf(noun.charAt(0)) < 0 ? "a " : "an ") + noun;
    }
}
