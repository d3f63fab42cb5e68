package pve.oci.tar;

/**
 * How large the parts of a tar archive may be. A header that claims more is refused before anything is read for it.
 *
 * @param maximumNameSize bytes of an entry's name and of a link name
 * @param maximumLongNameSize bytes of a GNU long-name record
 * @param maximumPaxSize bytes of one PAX extended header
 * @param maximumXattrNameSize bytes of the name of an extended attribute
 * @param maximumXattrSize bytes of the value of an extended attribute
 * @param maximumXattrs extended attributes of one entry
 * @param maximumSparseRegions regions in the map of a sparse file
 * @param maximumFileSize bytes of a regular file, holes of a sparse file included
 */
public record TarLimits(
        int maximumNameSize,
        int maximumLongNameSize,
        int maximumPaxSize,
        int maximumXattrNameSize,
        int maximumXattrSize,
        int maximumXattrs,
        int maximumSparseRegions,
        long maximumFileSize) {
    /**
     * PATH_MAX for names, XATTR_NAME_MAX and XATTR_SIZE_MAX for attributes; sizes small enough that sums of them do
     * not overflow.
     */
    public static final TarLimits DEFAULT = new TarLimits(4096, 8192, 1 << 20, 255, 64 << 10, 1024, 1 << 16, 1L << 62);

    public TarLimits {
        if (maximumFileSize > 1L << 62) {
            throw new IllegalArgumentException("maximumFileSize is larger than 2^62");
        }
    }
}
