package pve.oci.layer;

import pve.oci.tar.TarEntry;
import pve.oci.tar.Xattr;

/**
 * Counts what entries store besides their content, against the limit of bytes written: names, link targets and extended
 * attributes. The first {@link #FREE} bytes do not count, so that a limit for a small image can be set by the size of
 * its files.
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

    /** The bytes that count for the limit. */
    long counted() {
        return Math.max(0, stored - FREE);
    }
}
