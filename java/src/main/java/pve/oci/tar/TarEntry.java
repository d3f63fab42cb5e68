package pve.oci.tar;

import java.util.List;

/**
 * The entry a {@link TarReader} stands at, extension headers applied. One object for all entries of an archive: what
 * it returns holds until the next entry is read, except {@link #xattrs()}.
 */
public final class TarEntry {
    final NameBuffer name;
    final NameBuffer linkName;

    EntryType type = EntryType.REGULAR;
    long offset;
    long contentOffset;
    boolean sparse;
    int mode;
    long uid;
    long gid;
    long size;
    long mtimeSeconds;
    int mtimeNanos;
    long deviceMajor;
    long deviceMinor;
    List<Xattr> xattrs = List.of();

    TarEntry(int nameSize) {
        name = new NameBuffer(nameSize, "name");
        linkName = new NameBuffer(nameSize, "link name");
    }

    /** Offset in the archive of its first header, extension headers included. */
    public long offset() {
        return offset;
    }

    /** Offset in the archive of its content. The content of a sparse file is its regions without the holes. */
    public long contentOffset() {
        return contentOffset;
    }

    public EntryType type() {
        return type;
    }

    /** Whether it was stored without its holes. */
    public boolean isSparse() {
        return sparse;
    }

    /** The first {@link #nameLength()} bytes are the name, as stored: a directory's may end in a slash. Never empty. */
    public byte[] name() {
        return name.bytes();
    }

    public int nameLength() {
        return name.length();
    }

    /** The first {@link #linkNameLength()} bytes are the target of a link; empty for everything else. */
    public byte[] linkName() {
        return linkName.bytes();
    }

    public int linkNameLength() {
        return linkName.length();
    }

    /** Permission bits with set-id and sticky bits (07777). */
    public int mode() {
        return mode;
    }

    /**
     * As stored: may be negative, or more than the 32 bits that Linux has; {@code Long.MAX_VALUE} for more than a long.
     */
    public long uid() {
        return uid;
    }

    /** As {@link #uid()}. */
    public long gid() {
        return gid;
    }

    /** Size of a regular file with its holes; 0 for everything else. */
    public long size() {
        return size;
    }

    /** Seconds since 1970, rounded down: with a time before 1970 the nanoseconds count upwards too, as in timespec. */
    public long mtimeSeconds() {
        return mtimeSeconds;
    }

    /** 0 to 999,999,999. */
    public int mtimeNanos() {
        return mtimeNanos;
    }

    /** 0 unless it is a device. */
    public long deviceMajor() {
        return deviceMajor;
    }

    /** 0 unless it is a device. */
    public long deviceMinor() {
        return deviceMinor;
    }

    /** Extended attributes in the order of their names' first appearance; may be kept. */
    public List<Xattr> xattrs() {
        return xattrs;
    }
}
