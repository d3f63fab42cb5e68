package pve.oci.tar;

import java.io.IOException;

/**
 * Maps of sparse files as decimal text: GNU.sparse.map of format 0.1, numbers with commas, and the blocks before the
 * content of format 1.0, a number a line with their count first.
 */
final class SparseMapText {
    private final SparseMap map;
    private final TarLimits limits;
    private final TarInput input;
    private final HeaderBlock block;
    private int position;
    private long left;
    private long at;

    /** The block is scratch space: format 1.0 overwrites it. */
    SparseMapText(SparseMap map, TarLimits limits, TarInput input, HeaderBlock block) {
        this.map = map;
        this.limits = limits;
        this.input = input;
        this.block = block;
    }

    static void readRecord(SparseMap map, byte[] records, int start, int end, long at) throws IOException {
        int next = start;
        while (next < end) {
            int comma = comma(records, next, end);
            int secondEnd = comma(records, Math.min(comma + 1, end), end);
            map.add(number(records, next, comma, at), number(records, Math.min(comma + 1, end), secondEnd, at), at);
            next = secondEnd + 1;
        }
    }

    private static int comma(byte[] records, int start, int end) {
        int i = start;
        while (i < end && records[i] != ',') {
            i++;
        }
        return i;
    }

    private static long number(byte[] records, int start, int end, long at) throws TarFormatException {
        long value = Decimal.parse(records, start, end);
        if (value < 0) {
            throw malformed(at);
        }
        return value;
    }

    /**
     * Reads the blocks of format 1.0.
     *
     * @param storedSize of the content, map included
     * @return what is left of storedSize for the regions
     */
    long readContent(long storedSize) throws IOException {
        at = input.offset();
        left = storedSize;
        position = TarInput.BLOCK_SIZE;
        long regionCount = line();
        if (regionCount > limits.maximumSparseRegions()) {
            throw SparseMap.tooManyRegions(limits, at);
        }
        for (long i = 0; i < regionCount; i++) {
            long offset = line();
            map.add(offset, line(), at);
        }
        return left;
    }

    private long line() throws IOException {
        long value = 0;
        for (int digits = 0; ; digits++) {
            byte b = nextByte();
            if (b == '\n' && digits > 0) {
                return value;
            }
            // 18 digits fit into a long; the limit of a size has 19
            if (b < '0' || b > '9' || value > Long.MAX_VALUE / 10 - 1) {
                throw malformed(at);
            }
            value = value * 10 + b - '0';
        }
    }

    private byte nextByte() throws IOException {
        if (position == TarInput.BLOCK_SIZE) {
            if (left < TarInput.BLOCK_SIZE) {
                throw malformed(at);
            }
            if (block.read(input) < TarInput.BLOCK_SIZE) {
                throw input.truncated("the map of a sparse file");
            }
            left -= TarInput.BLOCK_SIZE;
            position = 0;
        }
        return block.bytes[position++];
    }

    private static TarFormatException malformed(long at) {
        return new TarFormatException(at, "malformed map of a sparse file");
    }
}
