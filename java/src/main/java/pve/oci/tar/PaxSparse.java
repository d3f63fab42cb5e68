package pve.oci.tar;

import java.io.IOException;

/**
 * GNU.sparse records of a PAX header: formats 0.0 and 0.1 have the map in the records, 1.0 has it before the content
 * (GNU tar manual, Storing Sparse Files).
 */
final class PaxSparse {
    private final TarLimits limits;
    private final SparseMap map;
    private boolean present;
    private long major;
    private long minor;
    private long realSize;
    private long regionCount;
    private long regionOffset;
    private int nameStart;
    private int nameEnd;

    PaxSparse(TarLimits limits, SparseMap map) {
        this.limits = limits;
        this.map = map;
        clear();
    }

    void clear() {
        present = false;
        major = -1;
        minor = -1;
        realSize = -1;
        regionCount = -1;
        regionOffset = -1;
        nameStart = 0;
        nameEnd = 0;
    }

    boolean isPresent() {
        return present;
    }

    void setName(int start, int end) {
        present = true;
        nameStart = start;
        nameEnd = end;
    }

    int nameStart() {
        return nameStart;
    }

    int nameEnd() {
        return nameEnd;
    }

    void apply(PaxKeyword keyword, byte[] records, int start, int end, long offset) throws IOException {
        present = true;
        switch (keyword) {
            case SPARSE_MAJOR -> major = number(records, keyword, start, end, offset);
            case SPARSE_MINOR -> minor = number(records, keyword, start, end, offset);
            case SPARSE_SIZE, SPARSE_REAL_SIZE -> realSize = number(records, keyword, start, end, offset);
            case SPARSE_REGION_COUNT -> regionCount = number(records, keyword, start, end, offset);
            case SPARSE_REGION_OFFSET -> {
                if (regionOffset >= 0) {
                    throw new TarFormatException(offset, "region of a sparse file without size in a PAX header");
                }
                regionOffset = number(records, keyword, start, end, offset);
            }
            case SPARSE_REGION_SIZE -> {
                if (regionOffset < 0) {
                    throw new TarFormatException(offset, "region of a sparse file without offset in a PAX header");
                }
                map.add(regionOffset, number(records, keyword, start, end, offset), offset);
                regionOffset = -1;
            }
            case SPARSE_MAP -> {
                map.clear();
                SparseMapText.readRecord(map, records, start, end, offset);
            }
            // written as if it were an ordinary file, it would not be the file that was stored
            default ->
                throw new TarFormatException(
                        offset, "sparse file in an unsupported format (" + keyword.label + " in a PAX header)");
        }
    }

    /** A size in a record: not negative and within the limit. */
    long number(byte[] records, PaxKeyword keyword, int start, int end, long offset) throws IOException {
        long value = Decimal.parse(records, start, end);
        if (value < 0) {
            throw new TarFormatException(offset, "malformed or negative " + keyword.label + " in a PAX header");
        }
        if (value > limits.maximumFileSize()) {
            throw new TarLimitException(
                    keyword.label + " in a PAX header is too large",
                    "maximumFileSize",
                    limits.maximumFileSize(),
                    offset);
        }
        return value;
    }

    /** Whether the map comes before the content; called when all records are read. */
    boolean hasMapInContent(long offset) throws TarFormatException {
        boolean inContent = major == 1 && minor == 0;
        boolean inRecords = major <= 0 && minor <= 1;
        if (!inContent && !inRecords) {
            throw new TarFormatException(offset, "sparse file in unsupported format " + major + "." + minor);
        }
        if (realSize < 0 || regionOffset >= 0) {
            throw new TarFormatException(offset, "incomplete description of a sparse file in a PAX header");
        }
        if (inContent && map.named() > 0) {
            throw new TarFormatException(offset, "two maps of one sparse file");
        }
        if (inRecords && regionCount >= 0 && regionCount != map.named()) {
            throw new TarFormatException(offset, "GNU.sparse.numblocks differs from the regions in a PAX header");
        }
        return inContent;
    }

    long realSize() {
        return realSize;
    }
}
