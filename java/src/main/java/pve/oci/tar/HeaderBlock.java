package pve.oci.tar;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** One 512-byte block that is read as a header: its checksum, its numbers and its names. */
final class HeaderBlock {
    private static final int TYPEFLAG = 156;
    private static final int MAGIC = 257;
    private static final byte[] USTAR_MAGIC = {'u', 's', 't', 'a', 'r', 0};
    private static final byte[] GNU_MAGIC = {'u', 's', 't', 'a', 'r', ' ', ' ', 0};
    private static final int STAR_MAGIC = 508;
    private static final byte[] STAR_TRAILER = {'t', 'a', 'r', 0};
    private static final byte[] SLASH = {'/'};
    private static final long EVEN_BYTES = 0x00ff_00ff_00ff_00ffL;

    final byte[] bytes = new byte[TarInput.BLOCK_SIZE];
    private final ByteBuffer words = ByteBuffer.wrap(bytes);
    private long offset;
    private int sum;

    /** Reads the next block; fewer bytes than 512 only at the end of the archive. */
    int read(TarInput input) throws IOException {
        offset = input.offset();
        int count = input.readBlock(bytes);
        Arrays.fill(bytes, count, bytes.length, (byte) 0);
        sum = sum();
        return count;
    }

    long offset() {
        return offset;
    }

    boolean isZero() {
        return sum == 0;
    }

    // eight bytes at a time, in four lanes of 16 bits: 128 times 255 fits
    private int sum() {
        long lanes = 0;
        for (int i = 0; i < bytes.length; i += Long.BYTES) {
            long word = words.getLong(i);
            lanes += (word & EVEN_BYTES) + ((word >>> 8) & EVEN_BYTES);
        }
        return (int) ((lanes & 0xffff) + ((lanes >>> 16) & 0xffff) + ((lanes >>> 32) & 0xffff) + (lanes >>> 48));
    }

    /** POSIX sums unsigned bytes; old Sun and SysV tars summed signed ones. */
    boolean checksumMatches() {
        long stored = octal(HeaderField.CHECKSUM);
        int unsigned = sum + HeaderField.CHECKSUM.size * ' ';
        for (int i = HeaderField.CHECKSUM.start; i < HeaderField.CHECKSUM.end(); i++) {
            unsigned -= bytes[i] & 0xff;
        }
        return stored == unsigned || stored == unsigned - 256 * highBytes();
    }

    private int highBytes() {
        int count = 0;
        for (int i = 0; i < bytes.length; i++) {
            boolean inChecksum = i >= HeaderField.CHECKSUM.start && i < HeaderField.CHECKSUM.end();
            if (bytes[i] < 0 && !inChecksum) {
                count++;
            }
        }
        return count;
    }

    byte typeflag() {
        return bytes[TYPEFLAG];
    }

    boolean isGnu() {
        return startsAt(MAGIC, GNU_MAGIC);
    }

    /** Appends prefix and name. GNU tar keeps atime, ctime and a sparse map where POSIX has the prefix. */
    void appendName(NameBuffer name) throws TarLimitException {
        if (startsAt(MAGIC, USTAR_MAGIC)) {
            boolean star = startsAt(STAR_MAGIC, STAR_TRAILER);
            HeaderField prefix = star ? HeaderField.STAR_PREFIX : HeaderField.USTAR_PREFIX;
            if (bytes[prefix.start] != 0) {
                appendText(prefix, name);
                name.append(SLASH, 0, 1, offset);
            }
        }
        appendText(HeaderField.NAME, name);
    }

    /** Appends the bytes of a field up to a NUL or its end. */
    void appendText(HeaderField field, NameBuffer name) throws TarLimitException {
        int end = field.start;
        while (end < field.end() && bytes[end] != 0) {
            end++;
        }
        name.append(bytes, field.start, end - field.start, offset);
    }

    private boolean startsAt(int start, byte[] magic) {
        return Arrays.equals(bytes, start, start + magic.length, magic, 0, magic.length);
    }

    long number(HeaderField field) throws TarFormatException {
        return number(field.start, field.size, field.label);
    }

    /** A number in octal digits, or in base 256 when the first bit is set (GNU, star). */
    long number(int start, int size, String label) throws TarFormatException {
        if (bytes[start] < 0) {
            return base256(start, size, label);
        }
        long value = octal(start, size);
        if (value < 0) {
            throw new TarFormatException(offset, "malformed " + label + " in a header");
        }
        return value;
    }

    /** A size within a file: not negative and at most {@link TarLimits#maximumFileSize}. */
    long size(int start, int size, String label, TarLimits limits) throws IOException {
        long value = number(start, size, label);
        if (value < 0) {
            throw new TarFormatException(offset, "negative " + label + " in a header");
        }
        if (value > limits.maximumFileSize()) {
            throw new TarLimitException(label + " is too large", "maximumFileSize", limits.maximumFileSize(), offset);
        }
        return value;
    }

    long size(HeaderField field, TarLimits limits) throws IOException {
        return size(field.start, field.size, field.label, limits);
    }

    private long octal(HeaderField field) {
        return octal(field.start, field.size);
    }

    // digits up to a space, a NUL or the end of the field; fill before them as GNU tar and Go do; nothing at all is 0
    private long octal(int start, int size) {
        int end = start + size;
        int i = start;
        while (i < end && isFill(bytes[i])) {
            i++;
        }
        long value = 0;
        while (i < end && !isFill(bytes[i])) {
            int digit = bytes[i] - '0';
            if (digit < 0 || digit > 7) {
                return -1;
            }
            value = value << 3 | digit;
            i++;
        }
        return value;
    }

    private static boolean isFill(byte b) {
        return b == ' ' || b == 0;
    }

    // two's complement, big endian, without the first bit
    private long base256(int start, int size, String label) throws TarFormatException {
        long value = (byte) (bytes[start] << 1) >> 1;
        for (int i = start + 1; i < start + size; i++) {
            if (value > Long.MAX_VALUE >> 8 || value < Long.MIN_VALUE >> 8) {
                throw new TarFormatException(offset, label + " in a header has more than 64 bits");
            }
            value = value << 8 | (bytes[i] & 0xff);
        }
        return value;
    }
}
