package pve.oci.varlink;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Looks into parsed JSON, for tests. */
public final class Tree {
    private Tree() {}

    /** What is at the end of that path of keys; an AssertionError when there is no such path. */
    public static Object at(@Nullable Object tree, String... path) {
        Object at = tree;
        for (String key : path) {
            at = at instanceof Map<?, ?> map ? map.get(key) : null;
        }
        if (at == null) {
            throw new AssertionError("no " + String.join(".", path) + " in " + tree);
        }
        return at;
    }
}
