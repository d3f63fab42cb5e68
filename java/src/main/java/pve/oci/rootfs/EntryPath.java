package pve.oci.rootfs;

import java.util.Arrays;
import pve.oci.text.Text;

/**
 * The name of a tar entry as a path below the root: no leading slash, no empty, "." or ".." component. It is reused for
 * the next entry.
 */
public final class EntryPath {
    /** linux/limits.h: PATH_MAX, with its NUL */
    public static final int PATH_MAX = 4096;

    private byte[] bytes = new byte[PATH_MAX];
    private int length;
    private int nameStart;

    /** What is wrong with a name that {@link #set} refuses. */
    public enum Problem {
        NONE,
        LEAVES_ROOT,
        TOO_LONG
    }

    /**
     * Takes a name over, cleaned: absolute names are below the root, ".." takes back the component before it. A name
     * whose ".." would leave the root is refused, not clamped: no honest archive has it.
     */
    public Problem set(byte[] raw, int rawLength) {
        if (rawLength >= PATH_MAX) {
            return Problem.TOO_LONG;
        }
        length = 0;
        int at = 0;
        while (at < rawLength) {
            int end = at;
            while (end < rawLength && raw[end] != '/') {
                end++;
            }
            int size = end - at;
            if (size == 2 && raw[at] == '.' && raw[at + 1] == '.') {
                if (length == 0) {
                    return Problem.LEAVES_ROOT;
                }
                length = parentLength(length);
            } else if (size > 0 && !(size == 1 && raw[at] == '.')) {
                if (length > 0) {
                    bytes[length++] = '/';
                }
                System.arraycopy(raw, at, bytes, length, size);
                length += size;
            }
            at = end + 1;
        }
        int parent = parentLength(length);
        nameStart = parent == 0 ? 0 : parent + 1;
        return Problem.NONE;
    }

    /** Length of the path without its last component and the slash before it; 0 when it has one component. */
    private int parentLength(int of) {
        int slash = of - 1;
        while (slash >= 0 && bytes[slash] != '/') {
            slash--;
        }
        return Math.max(slash, 0);
    }

    /** The path's bytes, from 0 to {@link #length}; reused. */
    public byte[] bytes() {
        return bytes;
    }

    public int length() {
        return length;
    }

    /** Length of the directory's path within {@link #bytes}. */
    public int parentLength() {
        return nameStart == 0 ? 0 : nameStart - 1;
    }

    /** Where the last component begins in {@link #bytes}. */
    public int nameStart() {
        return nameStart;
    }

    public int nameLength() {
        return length - nameStart;
    }

    /** Where the component that begins there ends. */
    int componentEnd(int start) {
        int end = start;
        while (end < length && bytes[end] != '/') {
            end++;
        }
        return end;
    }

    byte[] copy(int start, int end) {
        return Arrays.copyOfRange(bytes, start, end);
    }

    /** Whether both have the same last component. */
    boolean hasNameOf(EntryPath other) {
        return Arrays.equals(bytes, nameStart, length, other.bytes, other.nameStart, other.length);
    }

    /** A copy of the last component. */
    public byte[] name() {
        return Arrays.copyOfRange(bytes, nameStart, length);
    }

    /** Whether the entry is the root directory itself. */
    public boolean isRoot() {
        return length == 0;
    }

    /** Whether both name the same entry, without regard to symbolic links. */
    public boolean isSame(EntryPath other) {
        return Arrays.equals(bytes, 0, length, other.bytes, 0, other.length);
    }

    /** Drops bytes from the front of the last component: the name that a whiteout is for. */
    public void cutNamePrefix(int prefixLength) {
        System.arraycopy(bytes, nameStart + prefixLength, bytes, nameStart, nameLength() - prefixLength);
        length -= prefixLength;
    }

    /** The path for messages, with odd bytes escaped. */
    @Override
    public String toString() {
        return length == 0 ? "./" : Text.name(bytes, length);
    }
}
