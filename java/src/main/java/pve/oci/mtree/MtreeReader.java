package pve.oci.mtree;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
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

    private static final Map<String, Integer> TYPES = new HashMap<>();

    static {
        MtreeWriter.TYPES.forEach((type, name) -> TYPES.put(name, type));
    }

    private final InputStream stream;
    private final long maximumLines;
    private final byte[] buffer = new byte[1 << 16];
    private int position;
    private int limit;
    private final byte[] line = new byte[MAXIMUM_LINE];
    private int length;
    private long lineNumber;
    private @Nullable TreeEntry last;

    MtreeReader(InputStream stream, long maximumLines) throws IOException {
        this.stream = stream;
        this.maximumLines = maximumLines;
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
            byte value = buffer[position++];
            if (value == '\n') {
                return true;
            }
            if (length == line.length) {
                throw damaged("is too long");
            }
            line[length++] = value;
        }
    }

    private int read() throws IOException {
        try {
            return stream.read(buffer);
        } catch (pve.oci.linux.ErrnoException e) {
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
        long[] ids = new long[2];
        long size = 0;
        long device = 0;
        Long seconds = null;
        int nanos = 0;
        byte[] link = null;
        String attributes = null;
        while (end < length) {
            int start = end + 1;
            end = wordEnd(start);
            int equals = indexOf('=', start, end);
            String keyword = text(start, equals);
            String value = keyword.equals("link") ? "" : text(equals + 1, end);
            switch (keyword) {
                case "type" -> type = TYPES.getOrDefault(value, 0);
                case "mode" -> mode = (int) number(value, 8, 07777);
                case "uid" -> ids[0] = number(value, 10, 0xffffffffL);
                case "gid" -> ids[1] = number(value, 10, 0xffffffffL);
                case "size" -> size = number(value, 10, Long.MAX_VALUE);
                case "device" -> device = number(value, 10, Long.MAX_VALUE);
                case "time" -> {
                    int dot = value.indexOf('.');
                    if (dot < 0 || value.length() != dot + 10) {
                        throw damaged("has no valid time");
                    }
                    boolean isNegative = value.startsWith("-");
                    long whole = number(value.substring(isNegative ? 1 : 0, dot), 10, Long.MAX_VALUE);
                    seconds = isNegative ? -whole : whole;
                    nanos = (int) number(value.substring(dot + 1), 10, 999_999_999);
                }
                case "link" -> link = unescaped(equals + 1, end);
                case "xattr" -> attributes = value;
                default -> throw damaged("has an unknown keyword");
            }
        }
        if (type == 0 || mode < 0 || seconds == null || (type == Libc.S_IFLNK) != (link != null)) {
            throw damaged("lacks a keyword");
        }
        return new TreeEntry(
                path, type | mode, (int) ids[0], (int) ids[1], size, seconds, nanos, device, link, attributes);
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

    private long number(String digits, int radix, long maximum) throws RecordException {
        try {
            long value = Long.parseLong(digits, radix);
            if (value >= 0 && value <= maximum && digits.charAt(0) != '+' && digits.charAt(0) != '-') {
                return value;
            }
        } catch (NumberFormatException e) {
            // the same as one that is too large
        }
        throw damaged("has a number that cannot be");
    }

    private byte[] unescaped(int start, int end) throws RecordException {
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
