package pve.oci.oci;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/**
 * One object of a JSON document and the pointer to it: typed access to its members, with errors that name the place.
 * Two rules are those of Go's decoder, which reads images everywhere else: a member that is {@code null} counts as
 * absent, and a key of the specification is found in any case of its ASCII letters. Two keys that differ only in case
 * are an error, because one reader would take the first and another the second.
 */
final class Document {
    private final Map<String, @Nullable Object> members;
    private final String pointer;

    private Document(Map<String, @Nullable Object> members, String pointer) {
        this.members = members;
        this.pointer = pointer;
    }

    static Document parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        try {
            return new Document(Json.parseObject(json, limits), "");
        } catch (JsonLimitException e) {
            throw e;
        } catch (JsonFormatException e) {
            throw new ImageFormatException("", Text.clean(String.valueOf(e.getMessage())));
        }
    }

    /** Wraps an object that is a member of something other than an object, such as a list. */
    static Document of(Map<String, @Nullable Object> members, String pointer) {
        return new Document(members, pointer);
    }

    String pointer(String name) {
        return pointer + "/" + name;
    }

    boolean has(String name) throws ImageFormatException {
        return value(name) != null;
    }

    /** The document's own spelling of a key; the specification's when it is absent. */
    String key(String name) throws ImageFormatException {
        String found = null;
        for (String key : members.keySet()) {
            if (isSameButForCase(key, name)) {
                if (found != null) {
                    throw new ImageFormatException(
                            pointer(name),
                            "'" + Text.clean(found) + "' and '" + Text.clean(key) + "' differ only in case");
                }
                found = key;
            }
        }
        return found == null ? name : found;
    }

    private @Nullable Object value(String name) throws ImageFormatException {
        return members.get(key(name));
    }

    private static boolean isSameButForCase(String key, String name) {
        if (key.length() != name.length()) {
            return false;
        }
        for (int i = 0; i < key.length(); i++) {
            if (lowerCase(key.charAt(i)) != lowerCase(name.charAt(i))) {
                return false;
            }
        }
        return true;
    }

    /** ASCII only: by Unicode's rules some keys would be equal that Go's decoder tells apart. */
    private static char lowerCase(char c) {
        return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
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
        return string(name, value(name));
    }

    private @Nullable String string(String name, @Nullable Object value) throws ImageFormatException {
        if (value == null || value instanceof String) {
            return (String) value;
        }
        throw wrongType(name, "string");
    }

    long size(String name) throws ImageFormatException {
        Object value = value(name);
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
        Object value = value(name);
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
            for (Map.Entry<String, @Nullable Object> member : map.members.entrySet()) {
                String value = map.string(member.getKey(), member.getValue());
                if (value != null) {
                    strings.put(member.getKey(), value);
                }
            }
        }
        return strings;
    }

    Map<String, @Nullable Object> members() {
        return members;
    }

    private List<?> list(String name) throws ImageFormatException {
        Object value = value(name);
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
