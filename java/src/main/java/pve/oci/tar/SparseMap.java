package pve.oci.tar;

import java.io.IOException;
import java.util.Arrays;

/**
 * Where the content of a sparse file goes: regions in ascending order, and a cursor that moves over them while the
 * content is read. In the methods {@code at} is an offset in the archive, for errors.
 */
final class SparseMap {
    private static final int GNU_FIRST = 386;
    private static final int GNU_FIRST_COUNT = 4;
    private static final int GNU_FIRST_EXTENDED = 482;
    private static final int GNU_NEXT_COUNT = 21;
    private static final int GNU_NEXT_EXTENDED = 504;
    private static final int GNU_NUMBER_SIZE = 12;

    private final TarLimits limits;
    private long[] offsets = new long[16];
    private long[] sizes = new long[16];
    // regions that hold data; all regions of the map, the empty ones too
    private int count;
    private int named;
    private long end;
    private long stored;
    private int region;
    private long done;

    SparseMap(TarLimits limits) {
        this.limits = limits;
    }

    void clear() {
        count = 0;
        named = 0;
        end = 0;
        stored = 0;
        region = 0;
        done = 0;
    }

    /** How many regions were added, empty ones included. */
    int named() {
        return named;
    }

    static TarLimitException tooManyRegions(TarLimits limits, long at) {
        return new TarLimitException(
                "sparse file has too many regions", "maximumSparseRegions", limits.maximumSparseRegions(), at);
    }

    void add(long offset, long size, long at) throws IOException {
        if (named == limits.maximumSparseRegions()) {
            throw tooManyRegions(limits, at);
        }
        named++;
        if (offset < end || size < 0) {
            throw new TarFormatException(at, "regions of a sparse file are not in order or overlap");
        }
        if (offset > limits.maximumFileSize() || size > limits.maximumFileSize() - offset) {
            throw new TarLimitException("sparse file is too large", "maximumFileSize", limits.maximumFileSize(), at);
        }
        end = offset + size;
        stored += size;
        if (size > 0) {
            if (count == offsets.length) {
                offsets = Arrays.copyOf(offsets, 2 * count);
                sizes = Arrays.copyOf(sizes, 2 * count);
            }
            offsets[count] = offset;
            sizes[count] = size;
            count++;
        }
    }

    /** Reads the map of GNU's typeflag S: four regions in the header, then blocks of 21 as long as each says so. */
    void readGnu(HeaderBlock header, TarInput input) throws IOException {
        boolean full = addGnu(header, GNU_FIRST, GNU_FIRST_COUNT);
        boolean extended = header.bytes[GNU_FIRST_EXTENDED] != 0;
        while (extended) {
            if (!full) {
                throw new TarFormatException(header.offset(), "map of a sparse file ends before its extension header");
            }
            if (header.read(input) < TarInput.BLOCK_SIZE) {
                throw input.truncated("the map of a sparse file");
            }
            full = addGnu(header, 0, GNU_NEXT_COUNT);
            extended = header.bytes[GNU_NEXT_EXTENDED] != 0;
        }
    }

    private boolean addGnu(HeaderBlock block, int start, int slots) throws IOException {
        for (int i = 0; i < slots; i++) {
            int offset = start + i * 2 * GNU_NUMBER_SIZE;
            int size = offset + GNU_NUMBER_SIZE;
            if (block.bytes[size] == 0) {
                return false;
            }
            add(
                    block.size(offset, GNU_NUMBER_SIZE, "offset in a sparse file", limits),
                    block.size(size, GNU_NUMBER_SIZE, "size of a region of a sparse file", limits),
                    block.offset());
        }
        return true;
    }

    /** Checks the map against the size of the file and against what is stored of it. */
    void check(long realSize, long storedSize, long at) throws TarFormatException {
        if (end > realSize) {
            throw new TarFormatException(at, "region of a sparse file lies beyond its end");
        }
        if (stored != storedSize) {
            throw new TarFormatException(at, "size of a sparse file's content differs from that of its regions");
        }
    }

    /** Offset in the file of the next byte of the content. */
    long position() {
        return offsets[region] + done;
    }

    /** How many bytes of the content, from the next one on, go to the current region. */
    long left() {
        return sizes[region] - done;
    }

    void advance(long size) {
        done += size;
        if (done == sizes[region]) {
            region++;
            done = 0;
        }
    }
}
