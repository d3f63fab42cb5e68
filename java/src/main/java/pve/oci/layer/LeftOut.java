package pve.oci.layer;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;
import pve.oci.rootfs.EntryPath;

/** Names of devices that were left out, because hard links to them are left out too. */
final class LeftOut {
    /** More devices than any image has; a link to one beyond is an error, as one to nothing. */
    private static final int MAXIMUM = 10_000;

    private final Set<String> paths = new HashSet<>();

    void add(EntryPath path) {
        if (paths.size() < MAXIMUM) {
            paths.add(text(path));
        }
    }

    boolean contains(EntryPath path) {
        return !paths.isEmpty() && paths.contains(text(path));
    }

    private static String text(EntryPath path) {
        return new String(path.bytes(), 0, path.length(), StandardCharsets.ISO_8859_1);
    }
}
