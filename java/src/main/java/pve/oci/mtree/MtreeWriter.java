package pve.oci.mtree;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Libc;

/**
 * Writes entries as an mtree(5) file: one line each, with its full path, bytes that are not printable in the octal form
 * of vis(3). Keywords that every line would repeat are set once.
 */
final class MtreeWriter implements AutoCloseable {
    static final String HEADER = "#mtree v2.0\n/set uid=0 gid=0\n";

    /**
     * A type of files by its name of mtree(5).
     *
     * @param mode one of the S_IF constants of {@link Libc}
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Type(int mode, byte[] name) {}

    /** The most frequent ones first. */
    static final List<Type> TYPES = List.of(
            new Type(Libc.S_IFREG, bytes("file")),
            new Type(Libc.S_IFDIR, bytes("dir")),
            new Type(Libc.S_IFLNK, bytes("link")),
            new Type(Libc.S_IFIFO, bytes("fifo")),
            new Type(Libc.S_IFSOCK, bytes("socket")),
            new Type(Libc.S_IFCHR, bytes("char")),
            new Type(Libc.S_IFBLK, bytes("block")));

    private static final byte[] PATH = bytes("./");
    private static final byte[] TYPE = bytes(" type=");
    private static final byte[] MODE = bytes(" mode=0");
    private static final byte[] UID = bytes(" uid=");
    private static final byte[] GID = bytes(" gid=");
    private static final byte[] SIZE = bytes(" size=");
    private static final byte[] TIME = bytes(" time=");
    private static final byte[] DEVICE = bytes(" device=");
    private static final byte[] LINK = bytes(" link=");
    private static final byte[] XATTR = bytes(" xattr=");

    private final OutputStream stream;
    private byte[] line = new byte[1024];
    private int length;

    MtreeWriter(OutputStream stream) throws IOException {
        this.stream = stream;
        stream.write(bytes(HEADER));
    }

    void write(TreeEntry entry) throws IOException {
        length = 0;
        text(PATH);
        escaped(entry.path());
        text(TYPE);
        text(typeName(entry.type()));
        text(MODE);
        number(entry.mode() & 07777, 8);
        if (entry.uid() != 0) {
            text(UID);
            number(Integer.toUnsignedLong(entry.uid()), 10);
        }
        if (entry.gid() != 0) {
            text(GID);
            number(Integer.toUnsignedLong(entry.gid()), 10);
        }
        if (entry.type() == Libc.S_IFREG) {
            text(SIZE);
            number(entry.size(), 10);
        }
        text(TIME);
        number(entry.seconds(), 10);
        character('.');
        nanos(entry.nanos());
        if (entry.device() != 0) {
            text(DEVICE);
            number(entry.device(), 10);
        }
        byte @Nullable [] link = entry.link();
        if (link != null) {
            text(LINK);
            escaped(link);
        }
        if (entry.attributes() != null) {
            text(XATTR);
            text(bytes(entry.attributes()));
        }
        character('\n');
        stream.write(line, 0, length);
    }

    static byte[] bytes(String ascii) {
        return ascii.getBytes(StandardCharsets.US_ASCII);
    }

    private static byte[] typeName(int mode) {
        for (Type type : TYPES) {
            if (type.mode() == mode) {
                return type.name();
            }
        }
        return TYPES.get(0).name();
    }

    private void text(byte[] ascii) {
        reserve(ascii.length);
        System.arraycopy(ascii, 0, line, length, ascii.length);
        length += ascii.length;
    }

    private void character(char ascii) {
        reserve(1);
        line[length++] = (byte) ascii;
    }

    private void number(long value, int radix) {
        if (value < 0) {
            text(bytes(Long.toString(value, radix)));
            return;
        }
        int count = 1;
        for (long rest = value / radix; rest > 0; rest /= radix) {
            count++;
        }
        digits(value, radix, count);
    }

    private void nanos(int value) {
        digits(value, 10, 9);
    }

    private void digits(long value, int radix, int count) {
        reserve(count);
        long rest = value;
        for (int i = length + count - 1; i >= length; i--) {
            line[i] = (byte) ('0' + rest % radix);
            rest /= radix;
        }
        length += count;
    }

    private void escaped(byte[] bytes) {
        reserve(bytes.length * 4);
        for (byte value : bytes) {
            if (value > ' ' && value < 0x7f && value != '\\' && value != '#' && value != '=') {
                line[length++] = value;
            } else {
                line[length++] = '\\';
                line[length++] = (byte) ('0' + ((value & 0xff) >> 6));
                line[length++] = (byte) ('0' + ((value >> 3) & 7));
                line[length++] = (byte) ('0' + (value & 7));
            }
        }
    }

    private void reserve(int count) {
        if (length + count > line.length) {
            line = java.util.Arrays.copyOf(line, (length + count) * 2);
        }
    }

    @Override
    public void close() throws IOException {
        stream.close();
    }
}
