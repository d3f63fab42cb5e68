package pve.oci.tar;

import org.jspecify.annotations.Nullable;

/**
 * Keywords of PAX records that mean something here; all others ({@code atime}, {@code comment}, ...) are passed over.
 */
enum PaxKeyword {
    PATH("path"),
    LINK_PATH("linkpath"),
    SIZE("size"),
    UID("uid"),
    GID("gid"),
    MTIME("mtime"),
    XATTR("SCHILY.xattr."),
    LIBARCHIVE_XATTR("LIBARCHIVE.xattr."),
    ACL_ACCESS(Xattr.ACL_ACCESS_TEXT),
    ACL_DEFAULT(Xattr.ACL_DEFAULT_TEXT),
    SPARSE_MAJOR("GNU.sparse.major"),
    SPARSE_MINOR("GNU.sparse.minor"),
    SPARSE_NAME("GNU.sparse.name"),
    /** 0.0 and 0.1 */
    SPARSE_SIZE("GNU.sparse.size"),
    /** 1.0 */
    SPARSE_REAL_SIZE("GNU.sparse.realsize"),
    SPARSE_REGION_COUNT("GNU.sparse.numblocks"),
    /** 0.0: once a region, each followed by its numbytes */
    SPARSE_REGION_OFFSET("GNU.sparse.offset"),
    SPARSE_REGION_SIZE("GNU.sparse.numbytes"),
    /** 0.1 */
    SPARSE_MAP("GNU.sparse.map"),
    /** star's way to store a sparse file */
    STAR_REAL_SIZE("SCHILY.realsize"),
    /** Solaris tar's way */
    SOLARIS_HOLES("SUN.holesdata");

    private static final PaxKeyword[] ALL = values();

    final String label;
    private final boolean prefix;

    PaxKeyword(String label) {
        this.label = label;
        this.prefix = label.endsWith(".");
    }

    /** Length of what comes before the name of an attribute. */
    int length() {
        return label.length();
    }

    static @Nullable PaxKeyword of(byte[] records, int start, int end) {
        for (PaxKeyword keyword : ALL) {
            int length = keyword.length();
            boolean fits = keyword.prefix ? end - start > length : end - start == length;
            if (fits && keyword.isAt(records, start)) {
                return keyword;
            }
        }
        return null;
    }

    private boolean isAt(byte[] records, int start) {
        for (int i = 0; i < label.length(); i++) {
            if (records[start + i] != label.charAt(i)) {
                return false;
            }
        }
        return true;
    }
}
