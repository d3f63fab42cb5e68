package pve.oci.mtree;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Libc;
import pve.oci.rootfs.EntryPath;

/**
 * Reads what {@link MtreeWriter} writes, one entry at a time, and nothing else: every other form of mtree(5), a line
 * that is too long, an entry out of order, is a damaged record. Memory does not depend on what is read.
 */
final class MtreeReader implements AutoCloseable {
    /** A path and a link, each byte escaped, and the keywords. */
    private static final int MAXIMUM_LINE = EntryPath.PATH_MAX * 8 + 512;

    private static final byte[] TYPE = MtreeWriter.bytes("type");
    private static final byte[] MODE = MtreeWriter.bytes("mode");
    private static final byte[] UID = MtreeWriter.bytes("uid");
    private static final byte[] GID = MtreeWriter.bytes("gid");
    private static final byte[] SIZE = MtreeWriter.bytes("size");
    private static final byte[] DEVICE = MtreeWriter.bytes("device");
    private static final byte[] TIME = MtreeWriter.bytes("time");
    private static final byte[] LINK = MtreeWriter.bytes("link");
    private static final byte[] XATTR = MtreeWriter.bytes("xattr");

    private final InputStream stream;
    private final long maximumLines;
    private final long maximumSize;
    private long size;
    private final byte[] buffer = new byte[1 << 16];
    private int position;
    private int limit;
    private final byte[] line = new byte[MAXIMUM_LINE];
    private int length;
    private long lineNumber;
    private @Nullable TreeEntry last;

    /** @param maximumSize in bytes */
    MtreeReader(InputStream stream, long maximumLines, long maximumSize) throws IOException {
        this.stream = stream;
        this.maximumLines = maximumLines;
        this.maximumSize = maximumSize;
        for (String expected : MtreeWriter.HEADER.split("\n", -1)) {
            if (!expected.isEmpty() && (!readLine() || !expected.equals(text(0, length)))) {
                throw damaged("is not what a record begins with");
            }
        }
    }

    /** The next entry, or null after the last. */
    @Nullable
    TreeEntry next() throws IOException {
        if (!readLine()) {
            return null;
        }
        if (lineNumber > maximumLines) {
            throw damaged("is beyond the limit of " + maximumLines + " lines");
        }
        TreeEntry entry = parse();
        if (last != null && last.compareTo(entry) >= 0) {
            throw damaged("is not in order");
        }
        last = entry;
        return entry;
    }

    private boolean readLine() throws IOException {
        length = 0;
        lineNumber++;
        while (true) {
            if (position == limit) {
                limit = read();
                position = 0;
                if (limit <= 0) {
                    limit = 0;
                    if (length > 0) {
                        throw damaged("is cut off");
                    }
                    return false;
                }
            }
            int end = position;
            while (end < limit && buffer[end] != '\n') {
                end++;
            }
            int count = end - position;
            if (count > line.length - length) {
                throw damaged("is too long");
            }
            System.arraycopy(buffer, position, line, length, count);
            length += count;
            position = end;
            if (end < limit) {
                position++;
                return true;
            }
        }
    }

    private int read() throws IOException {
        try {
            int count = stream.read(buffer);
            size += Math.max(count, 0);
            if (size > maximumSize) {
                throw damaged("is beyond the limit of " + maximumSize + " bytes");
            }
            return count;
        } catch (RecordException | pve.oci.linux.ErrnoException e) {
            throw e;
        } catch (IOException e) {
            // the decompressor's complaint
            throw damaged("cannot be decompressed");
        }
    }

    private RecordException damaged(String reason) {
        return RecordException.damaged(lineNumber, reason);
    }

    private TreeEntry parse() throws RecordException {
        int end = wordEnd(0);
        if (end < 3 || line[0] != '.' || line[1] != '/') {
            throw damaged("has no path");
        }
        byte[] path = unescaped(2, end);
        int type = 0;
        int mode = -1;
        long uid = 0;
        long gid = 0;
        long size = 0;
        long device = 0;
        boolean hasTime = false;
        long seconds = 0;
        int nanos = 0;
        byte[] link = null;
        String attributes = null;
        while (end < length) {
            int start = end + 1;
            end = wordEnd(start);
            int equals = indexOf('=', start, end);
            int value = equals + 1;
            if (is(TYPE, start, equals)) {
                type = type(value, end);
            } else if (is(MODE, start, equals)) {
                mode = (int) number(value, end, 8, 07777);
            } else if (is(SIZE, start, equals)) {
                size = number(value, end, 10, Long.MAX_VALUE);
            } else if (is(TIME, start, equals)) {
                int dot = end - 10;
                if (dot < value || line[dot] != '.') {
                    throw damaged("has no valid time");
                }
                boolean isNegative = line[value] == '-';
                long whole = number(isNegative ? value + 1 : value, dot, 10, Long.MAX_VALUE);
                seconds = isNegative ? -whole : whole;
                nanos = (int) number(dot + 1, end, 10, 999_999_999);
                hasTime = true;
            } else if (is(LINK, start, equals)) {
                link = unescaped(value, end);
            } else if (is(UID, start, equals)) {
                uid = number(value, end, 10, 0xffffffffL);
            } else if (is(GID, start, equals)) {
                gid = number(value, end, 10, 0xffffffffL);
            } else if (is(DEVICE, start, equals)) {
                device = number(value, end, 10, Long.MAX_VALUE);
            } else if (is(XATTR, start, equals)) {
                attributes = text(value, end);
            } else {
                throw damaged("has an unknown keyword");
            }
        }
        if (type == 0 || mode < 0 || !hasTime || (type == Libc.S_IFLNK) != (link != null)) {
            throw damaged("lacks a keyword");
        }
        return new TreeEntry(path, type | mode, (int) uid, (int) gid, size, seconds, nanos, device, link, attributes);
    }

    private boolean is(byte[] keyword, int start, int end) {
        return Arrays.equals(line, start, end, keyword, 0, keyword.length);
    }

    /** One of the S_IF constants of {@link Libc}; 0 when it is none of them. */
    private int type(int start, int end) {
        for (MtreeWriter.Type type : MtreeWriter.TYPES) {
            if (is(type.name(), start, end)) {
                return type.mode();
            }
        }
        return 0;
    }

    private int wordEnd(int start) {
        int end = start;
        while (end < length && line[end] != ' ') {
            end++;
        }
        return end;
    }

    private int indexOf(char wanted, int start, int end) throws RecordException {
        for (int i = start; i < end; i++) {
            if (line[i] == wanted) {
                return i;
            }
        }
        throw damaged("has a keyword without a value");
    }

    private String text(int start, int end) {
        return new String(line, start, end - start, StandardCharsets.US_ASCII);
    }

    private long number(int start, int end, int radix, long maximum) throws RecordException {
        long value = 0;
        for (int i = start; i < end; i++) {
            int digit = line[i] - '0';
            if (digit < 0 || digit >= radix || value > (maximum - digit) / radix) {
                throw damaged("has a number that cannot be");
            }
            value = value * radix + digit;
        }
        if (start >= end) {
            throw damaged("has a number that cannot be");
        }
        return value;
    }

    private byte[] unescaped(int start, int end) throws RecordException {
        if (isPlain(start, end)) {
            return Arrays.copyOfRange(line, start, end);
        }
        byte[] bytes = new byte[end - start];
        int count = 0;
        for (int i = start; i < end; i++) {
            int value = line[i];
            if (value == '\\') {
                if (i + 3 >= end) {
                    throw damaged("has an escape that is cut off");
                }
                value = octal(line[i + 1]) << 6 | octal(line[i + 2]) << 3 | octal(line[i + 3]);
                i += 3;
            }
            if (value == 0 || value > 255) {
                throw damaged("has a byte that no name can have");
            }
            bytes[count++] = (byte) value;
        }
        if (count > EntryPath.PATH_MAX) {
            throw damaged("has a path that is too long");
        }
        return Arrays.copyOf(bytes, count);
    }

    private boolean isPlain(int start, int end) {
        if (end - start > EntryPath.PATH_MAX) {
            return false;
        }
        for (int i = start; i < end; i++) {
            if (line[i] == '\\' || line[i] == 0) {
                return false;
            }
        }
        return true;
    }

    private int octal(byte digit) throws RecordException {
        if (digit < '0' || digit > '7') {
            throw damaged("has an escape that is not octal");
        }
        return digit - '0';
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
