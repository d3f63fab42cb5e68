package pve.oci.mtree;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Libc;

/**
 * One entry of a tree, with what a record keeps of it.
 *
 * @param path as bytes, relative to the root, without a leading slash
 * @param mode type and permissions, as in stat(2)
 * @param size in bytes, of regular files; 0 otherwise
 * @param device of device nodes, as in stat(2); 0 otherwise
 * @param link target of a symbolic link; null otherwise
 * @param attributes digest of the extended attributes; null without any
 */
@SuppressWarnings("ArrayRecordComponent") // equals and hashCode look into the arrays
record TreeEntry(
        byte[] path,
        int mode,
        int uid,
        int gid,
        long size,
        long seconds,
        int nanos,
        long device,
        byte @Nullable [] link,
        @Nullable String attributes) {
    /** The same entry with what is not part of its status. */
    TreeEntry with(byte @Nullable [] target, @Nullable String digest) {
        return new TreeEntry(path, mode, uid, gid, size, seconds, nanos, device, target, digest);
    }

    int type() {
        return mode & Libc.S_IFMT;
    }

    boolean isDirectory() {
        return type() == Libc.S_IFDIR;
    }

    /** Length of the path of the directory that holds the entry. */
    int parentLength() {
        int slash = path.length - 1;
        while (slash >= 0 && path[slash] != '/') {
            slash--;
        }
        return Math.max(slash, 0);
    }

    /**
     * The order of records and walks: directory by directory, parents before what is in them, names as unsigned bytes.
     * All entries of one directory stand together, so a walk opens each directory once.
     */
    int compareTo(TreeEntry other) {
        int length = parentLength();
        int otherLength = other.parentLength();
        int order = compareDirectories(path, length, other.path, otherLength);
        return order != 0
                ? order
                : Arrays.compareUnsigned(path, length, path.length, other.path, otherLength, other.path.length);
    }

    /** Component by component: the slash sorts before every byte that a name may have. */
    private static int compareDirectories(byte[] a, int aLength, byte[] b, int bLength) {
        int common = Math.min(aLength, bLength);
        int at = Arrays.mismatch(a, 0, common, b, 0, common);
        if (at < 0) {
            return Integer.compare(aLength, bLength);
        }
        return Integer.compare(a[at] == '/' ? 0 : a[at] & 0xff, b[at] == '/' ? 0 : b[at] & 0xff);
    }

    /**
     * The attributes that differ, by their keywords of mtree(5). Times of directories are left out, because every
     * change in a directory sets its time.
     */
    List<String> differences(TreeEntry other) {
        if (type() != other.type()) {
            return List.of("type");
        }
        List<String> names = new java.util.ArrayList<>();
        // nobody chooses the mode of a link
        add(names, "mode", type() != Libc.S_IFLNK && mode != other.mode);
        add(names, "uid", uid != other.uid);
        add(names, "gid", gid != other.gid);
        add(names, "size", size != other.size);
        add(names, "time", !isDirectory() && (seconds != other.seconds || nanos != other.nanos));
        add(names, "link", !Arrays.equals(link, other.link));
        add(names, "device", device != other.device);
        add(names, "xattr", !Objects.equals(attributes, other.attributes));
        return names;
    }

    private static void add(List<String> names, String name, boolean differs) {
        if (differs) {
            names.add(name);
        }
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof TreeEntry entry
                && Arrays.equals(path, entry.path)
                && seconds == entry.seconds
                && nanos == entry.nanos
                && differences(entry).isEmpty();
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(path);
    }
}
