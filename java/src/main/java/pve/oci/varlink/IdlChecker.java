package pve.oci.varlink;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Checks values from outside against the types of an interface. */
public final class IdlChecker {
    private final Idl idl;

    /** @param idl has the types that others refer to by name */
    public IdlChecker(Idl idl) {
        this.idl = idl;
    }

    /**
     * The first place where the value is not of the type, or null when it is.
     *
     * @param path of the value itself; names of fields are appended with a dot
     */
    public @Nullable String mismatch(IdlType type, @Nullable Object value, String path) {
        if (type instanceof IdlType.Optional optional) {
            return value == null ? null : mismatch(optional.type(), value, path);
        }
        if (type instanceof IdlType.Reference reference) {
            IdlType definition = idl.types().get(reference.name());
            return definition == null ? path : mismatch(definition, value, path);
        }
        if (type instanceof IdlType.Basic basic) {
            return isBasic(basic, value) ? null : path;
        }
        if (type instanceof IdlType.Enumeration enumeration) {
            return value instanceof String name && enumeration.values().contains(name) ? null : path;
        }
        if (type instanceof IdlType.Array array) {
            return value instanceof List<?> list ? arrayMismatch(array.element(), list, path) : path;
        }
        if (type instanceof IdlType.Dictionary dictionary) {
            return value instanceof Map<?, ?> map ? dictionaryMismatch(dictionary.value(), map, path) : path;
        }
        return value instanceof Map<?, ?> map ? structMismatch((IdlType.Struct) type, map, path) : path;
    }

    private static boolean isBasic(IdlType.Basic basic, @Nullable Object value) {
        return switch (basic) {
            case BOOL -> value instanceof Boolean;
            case INT -> value instanceof Long || value instanceof Integer;
            case FLOAT -> value instanceof Number;
            case STRING -> value instanceof String;
            case OBJECT -> value instanceof Map<?, ?>;
        };
    }

    private @Nullable String arrayMismatch(IdlType element, List<?> list, String path) {
        for (int i = 0; i < list.size(); i++) {
            String mismatch = mismatch(element, list.get(i), path + "[" + i + "]");
            if (mismatch != null) {
                return mismatch;
            }
        }
        return null;
    }

    private @Nullable String dictionaryMismatch(IdlType element, Map<?, ?> map, String path) {
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            String mismatch = mismatch(element, entry.getValue(), path + "[" + entry.getKey() + "]");
            if (mismatch != null) {
                return mismatch;
            }
        }
        return null;
    }

    private @Nullable String structMismatch(IdlType.Struct struct, Map<?, ?> map, String path) {
        String prefix = path.isEmpty() ? "" : path + ".";
        for (Object key : map.keySet()) {
            if (!struct.fields().containsKey(key)) {
                return prefix + key;
            }
        }
        for (Map.Entry<String, IdlType> field : struct.fields().entrySet()) {
            String mismatch = mismatch(field.getValue(), map.get(field.getKey()), prefix + field.getKey());
            if (mismatch != null) {
                return mismatch;
            }
        }
        return null;
    }
}
