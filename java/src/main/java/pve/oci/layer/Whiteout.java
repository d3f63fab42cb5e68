package pve.oci.layer;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import pve.oci.rootfs.EntryPath;
import pve.oci.tar.EntryType;

/**
 * What an entry is, by its name: a whiteout or not (layer.md, Whiteouts and Opaque Whiteout). A marker may have any
 * type except directory: layers from AUFS have them as hard links.
 */
enum Whiteout {
    /** An ordinary entry. */
    NONE,
    /** Removes one entry of lower layers. */
    ENTRY,
    /** Removes all entries that lower layers have in the directory. */
    OPAQUE,
    /** AUFS's own bookkeeping ({@code .wh..wh.plnk} and the like), and what is in it: skipped. */
    METADATA,
    /** {@code .wh.}, {@code .wh..} and {@code .wh...} would remove the directory itself or the one above. */
    INVALID;

    private static final byte[] PREFIX = ascii(".wh.");
    private static final byte[] META_PREFIX = ascii(".wh..wh.");
    private static final byte[] OPAQUE_NAME = ascii(".wh..wh..opq");

    static final int PREFIX_LENGTH = 4;

    /** Whether it removes anything. */
    boolean removes() {
        return this == ENTRY || this == OPAQUE;
    }

    static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    static Whiteout of(EntryPath path, EntryType type) {
        byte[] bytes = path.bytes();
        int start = 0;
        // nearly every path ends here: no component that begins with the prefix
        while (start < path.length()) {
            int end = start;
            while (end < path.length() && bytes[end] != '/') {
                end++;
            }
            if (bytes[start] == '.' && startsWith(bytes, start, end, PREFIX)) {
                Whiteout whiteout = ofComponent(bytes, start, end, end == path.length(), type);
                if (whiteout != NONE) {
                    return whiteout;
                }
            }
            start = end + 1;
        }
        return NONE;
    }

    private static Whiteout ofComponent(byte[] bytes, int start, int end, boolean isLast, EntryType type) {
        boolean isMarker = isLast && type != EntryType.DIRECTORY;
        if (isMarker && Arrays.equals(bytes, start, end, OPAQUE_NAME, 0, OPAQUE_NAME.length)) {
            return OPAQUE;
        }
        if (startsWith(bytes, start, end, META_PREFIX)) {
            return METADATA;
        }
        if (!isMarker) {
            return NONE;
        }
        int name = start + PREFIX_LENGTH;
        boolean isDots = (end - name == 1 && bytes[name] == '.')
                || (end - name == 2 && bytes[name] == '.' && bytes[name + 1] == '.');
        return end == name || isDots ? INVALID : ENTRY;
    }

    private static boolean startsWith(byte[] bytes, int start, int end, byte[] prefix) {
        return end - start >= prefix.length
                && Arrays.equals(bytes, start, start + prefix.length, prefix, 0, prefix.length);
    }
}
