package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Paths for tests. */
public final class EntryPaths {
    private EntryPaths() {}

    /** An entry's name as its cleaned path. */
    public static EntryPath path(String name) {
        byte[] bytes = name.getBytes(UTF_8);
        EntryPath path = new EntryPath();
        path.set(bytes, bytes.length);
        return path;
    }
}
