package pve.oci.layer;

import pve.oci.tar.TarEntry;
import pve.oci.tar.Xattr;

/**
 * Counts what entries store besides their content, against the limit of bytes written: names, link targets and extended
 * attributes. A small amount is free, so that the limit of a small image is that of its files.
 */
final class StoredBytes {
    static final long FREE = 64 << 10;

    private long stored;

    void add(TarEntry entry) {
        stored += entry.nameLength() + entry.linkNameLength();
        for (Xattr attribute : entry.xattrs()) {
            stored += attribute.name().length + attribute.value().length;
        }
    }

    /** What counts of it. */
    long counted() {
        return Math.max(0, stored - FREE);
    }
}
