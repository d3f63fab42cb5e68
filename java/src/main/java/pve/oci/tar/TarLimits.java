package pve.oci.tar;

/**
 * How large the parts of a tar archive may be. A header that claims more is refused before anything is read for it.
 *
 * @param nameSize bytes of an entry's name and of a link name
 * @param longNameSize bytes of a GNU long-name record
 * @param paxSize bytes of one PAX extended header
 * @param xattrNameSize bytes of the name of an extended attribute
 * @param xattrValueSize bytes of the value of an extended attribute
 * @param xattrCount extended attributes of one entry
 * @param sparseRegionCount regions in the map of a sparse file
 * @param fileSize bytes of a regular file, holes of a sparse file included
 */
public record TarLimits(
        int nameSize,
        int longNameSize,
        int paxSize,
        int xattrNameSize,
        int xattrValueSize,
        int xattrCount,
        int sparseRegionCount,
        long fileSize) {
    /**
     * PATH_MAX for names, XATTR_NAME_MAX and XATTR_SIZE_MAX for attributes; sizes small enough that sums of them do
     * not overflow.
     */
    public static final TarLimits DEFAULT = new TarLimits(4096, 8192, 1 << 20, 255, 64 << 10, 1024, 1 << 16, 1L << 62);

    public TarLimits {
        if (fileSize > 1L << 62) {
            throw new IllegalArgumentException("fileSize is larger than 2^62");
        }
    }
}
