package pve.oci.tar;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.util.Map;
import java.util.TreeMap;

/**
 * Builds tar archives for tests, valid ones and others. {@code new
 * TarBuilder().directory("etc").mode(0600).file("etc/key", "x").build()}: calls that describe an entry come before it,
 * and count for it alone. Names are UTF-8 or bytes; what does not fit into the header goes into PAX records.
 */
public final class TarBuilder {
    public static final long MTIME = 1_700_000_000;
    private static final int BLOCK = 512;
    private static final byte[] NOTHING = {};

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream records = new ByteArrayOutputStream();
    private final Map<Integer, byte[]> patches = new TreeMap<>();
    private byte[] magic = ascii("ustar\00000");
    private int mode = -1;
    private long uid;
    private long gid;
    private long mtime = MTIME;
    private long size = -1;
    private long major;
    private long minor;
    private boolean signedChecksum;

    public TarBuilder mode(int value) {
        mode = value;
        return this;
    }

    public TarBuilder owner(long owner, long group) {
        uid = owner;
        gid = group;
        return this;
    }

    public TarBuilder mtime(long seconds) {
        mtime = seconds;
        return this;
    }

    /** The size in the header, whatever size the content has. */
    public TarBuilder claimedSize(long value) {
        size = value;
        return this;
    }

    /** Changes bytes of the header block, before the checksum is computed. */
    public TarBuilder patch(int offset, byte... bytes) {
        patches.put(offset, bytes);
        return this;
    }

    public TarBuilder patch(int offset, String bytes) {
        return patch(offset, ascii(bytes));
    }

    /** From here on, all headers are GNU's. */
    public TarBuilder gnu() {
        magic = ascii("ustar  \0");
        return this;
    }

    /** From here on, all headers are of the time before POSIX. */
    public TarBuilder v7() {
        magic = new byte[8];
        return this;
    }

    public TarBuilder ustar() {
        magic = ascii("ustar\00000");
        return this;
    }

    public TarBuilder signedChecksum() {
        signedChecksum = true;
        return this;
    }

    public TarBuilder xattr(String name, byte[] value) {
        return pax("SCHILY.xattr." + name, value);
    }

    public TarBuilder xattr(String name, String value) {
        return xattr(name, bytes(value));
    }

    public TarBuilder pax(String keyword, String value) {
        return pax(keyword, bytes(value));
    }

    public TarBuilder pax(String keyword, byte[] value) {
        records.writeBytes(record(keyword, value));
        return this;
    }

    /** Bytes that stand in the PAX header as they are. */
    public TarBuilder paxBytes(byte[] bytes) {
        records.writeBytes(bytes);
        return this;
    }

    /** A PAX record, its length in front. */
    public static byte[] record(String keyword, byte[] value) {
        byte[] key = bytes(keyword);
        int rest = key.length + value.length + 3;
        int length = rest + Integer.toString(rest).length();
        length = rest + Integer.toString(length).length();
        ByteArrayOutputStream record = new ByteArrayOutputStream();
        record.writeBytes(ascii(length + " "));
        record.writeBytes(key);
        record.write('=');
        record.writeBytes(value);
        record.write('\n');
        return record.toByteArray();
    }

    public TarBuilder file(String name, String content) {
        return file(name, bytes(content));
    }

    public TarBuilder file(String name, byte[] content) {
        return entry('0', bytes(name), NOTHING, content);
    }

    public TarBuilder directory(String name) {
        mode = mode < 0 ? 0755 : mode;
        return entry('5', bytes(name), NOTHING, NOTHING);
    }

    public TarBuilder symlink(String name, String target) {
        mode = mode < 0 ? 0777 : mode;
        return entry('2', bytes(name), bytes(target), NOTHING);
    }

    public TarBuilder hardLink(String name, String target) {
        return entry('1', bytes(name), bytes(target), NOTHING);
    }

    public TarBuilder fifo(String name) {
        return entry('6', bytes(name), NOTHING, NOTHING);
    }

    public TarBuilder characterDevice(String name, long deviceMajor, long deviceMinor) {
        major = deviceMajor;
        minor = deviceMinor;
        return entry('3', bytes(name), NOTHING, NOTHING);
    }

    public TarBuilder blockDevice(String name, long deviceMajor, long deviceMinor) {
        major = deviceMajor;
        minor = deviceMinor;
        return entry('4', bytes(name), NOTHING, NOTHING);
    }

    public TarBuilder longName(String name) {
        return entry('L', ascii("././@LongLink"), NOTHING, bytes(name + "\0"));
    }

    public TarBuilder longLinkName(String name) {
        return entry('K', ascii("././@LongLink"), NOTHING, bytes(name + "\0"));
    }

    /**
     * Writes the PAX records that were given as a header of their own, which then is not applied to the next entry
     * alone.
     */
    public TarBuilder paxHeader(char typeflag) {
        byte[] content = records.toByteArray();
        records.reset();
        return header(typeflag, ascii("PaxHeader"), NOTHING, content);
    }

    /** An entry of any type, with the PAX header in front that it needs. */
    public TarBuilder entry(char typeflag, byte[] name, byte[] linkName, byte[] content) {
        boolean extension = "xXgLK".indexOf(typeflag) >= 0;
        if (!extension) {
            addLarge(name, linkName);
            if (records.size() > 0) {
                // its own builder: what was said about the entry does not hold for it
                out.writeBytes(new TarBuilder()
                        .header('x', ascii("PaxHeader"), NOTHING, records.toByteArray())
                        .buildWithoutEnd());
                records.reset();
            }
        }
        return header(typeflag, name, linkName, content);
    }

    private void addLarge(byte[] name, byte[] linkName) {
        if (name.length > 100) {
            pax("path", name);
        }
        if (linkName.length > 100) {
            pax("linkpath", linkName);
        }
        if (uid > 07777777) {
            pax("uid", Long.toString(uid));
        }
        if (gid > 07777777) {
            pax("gid", Long.toString(gid));
        }
    }

    private TarBuilder header(char typeflag, byte[] name, byte[] linkName, byte[] content) {
        byte[] header = new byte[BLOCK];
        put(header, 0, name, 100);
        number(header, 100, 8, mode < 0 ? 0644 : mode);
        number(header, 108, 8, uid & 07777777);
        number(header, 116, 8, gid & 07777777);
        number(header, 124, 12, size < 0 ? content.length : size);
        number(header, 136, 12, mtime);
        header[156] = (byte) typeflag;
        put(header, 157, linkName, 100);
        put(header, 257, magic, 8);
        if (typeflag == '3' || typeflag == '4') {
            number(header, 329, 8, major);
            number(header, 337, 8, minor);
        }
        patches.forEach((offset, bytes) -> put(header, offset, bytes, bytes.length));
        if (!patches.containsKey(148)) {
            put(header, 148, ascii(String.format("%06o\0 ", checksum(header))), 8);
        }
        out.writeBytes(header);
        bytes(content);
        clear();
        return this;
    }

    private void clear() {
        patches.clear();
        mode = -1;
        uid = 0;
        gid = 0;
        mtime = MTIME;
        size = -1;
        major = 0;
        minor = 0;
        signedChecksum = false;
    }

    private int checksum(byte[] header) {
        int sum = 8 * ' ';
        for (int i = 0; i < BLOCK; i++) {
            if (i < 148 || i >= 156) {
                sum += signedChecksum ? header[i] : header[i] & 0xff;
            }
        }
        return sum;
    }

    /** Bytes as they are, filled up to the end of their last block. */
    public TarBuilder bytes(byte[] content) {
        out.writeBytes(content);
        out.writeBytes(new byte[-content.length & (BLOCK - 1)]);
        return this;
    }

    public TarBuilder zeroBlock() {
        return bytes(new byte[BLOCK]);
    }

    /** The archive with its two end blocks. */
    public byte[] build() {
        zeroBlock();
        zeroBlock();
        return out.toByteArray();
    }

    /** The archive as it is up to here. */
    public byte[] buildWithoutEnd() {
        return out.toByteArray();
    }

    private static void number(byte[] header, int start, int length, long value) {
        String digits = Long.toOctalString(value);
        if (value < 0 || digits.length() >= length) {
            for (int i = length - 1; i >= 0; i--) {
                int shift = 8 * (length - 1 - i);
                header[start + i] = (byte) (value >> Math.min(shift, 63));
            }
            header[start] |= (byte) 0x80;
        } else {
            put(header, start, ascii("0".repeat(length - 1 - digits.length()) + digits), length);
        }
    }

    private static void put(byte[] header, int start, byte[] bytes, int max) {
        System.arraycopy(bytes, 0, header, start, Math.min(bytes.length, max));
    }

    private static byte[] ascii(String text) {
        return bytes(text);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }
}
