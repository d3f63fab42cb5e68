package pve.oci.tar;

/** Fields of a header block that are read, with their places (tar(5), POSIX pax, ustar Interchange Format). */
enum HeaderField {
    NAME("name", 0, 100),
    MODE("mode", 100, 8),
    UID("uid", 108, 8),
    GID("gid", 116, 8),
    SIZE("size", 124, 12),
    MTIME("mtime", 136, 12),
    CHECKSUM("checksum", 148, 8),
    LINK_NAME("link name", 157, 100),
    DEVICE_MAJOR("device major", 329, 8),
    DEVICE_MINOR("device minor", 337, 8),
    USTAR_PREFIX("prefix", 345, 155),
    // star keeps atime and ctime behind it
    STAR_PREFIX("prefix", 345, 131),
    GNU_REAL_SIZE("real size", 483, 12);

    final String label;
    final int start;
    final int size;

    HeaderField(String label, int start, int size) {
        this.label = label;
        this.start = start;
        this.size = size;
    }

    int end() {
        return start + size;
    }
}
