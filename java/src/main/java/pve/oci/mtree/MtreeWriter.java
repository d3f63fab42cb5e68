package pve.oci.mtree;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Libc;

/**
 * Writes entries as an mtree(5) file: one line each, with its full path, bytes that are not printable in the octal form
 * of vis(3). Keywords that every line would repeat are set once.
 */
final class MtreeWriter implements AutoCloseable {
    static final String HEADER = "#mtree v2.0\n/set uid=0 gid=0\n";

    static final Map<Integer, String> TYPES = Map.of(
            Libc.S_IFREG, "file",
            Libc.S_IFDIR, "dir",
            Libc.S_IFLNK, "link",
            Libc.S_IFIFO, "fifo",
            Libc.S_IFSOCK, "socket",
            Libc.S_IFCHR, "char",
            Libc.S_IFBLK, "block");

    private final OutputStream stream;
    private byte[] line = new byte[1024];
    private int length;

    MtreeWriter(OutputStream stream) throws IOException {
        this.stream = stream;
        stream.write(HEADER.getBytes(StandardCharsets.US_ASCII));
    }

    void write(TreeEntry entry) throws IOException {
        length = 0;
        text("./");
        escaped(entry.path());
        text(" type=").text(TYPES.getOrDefault(entry.type(), "file"));
        text(" mode=0").text(Integer.toOctalString(entry.mode() & 07777));
        if (entry.uid() != 0) {
            text(" uid=").text(Integer.toUnsignedString(entry.uid()));
        }
        if (entry.gid() != 0) {
            text(" gid=").text(Integer.toUnsignedString(entry.gid()));
        }
        if (entry.type() == Libc.S_IFREG) {
            text(" size=").text(Long.toString(entry.size()));
        }
        text(" time=").text(Long.toString(entry.seconds())).text(".");
        nanos(entry.nanos());
        if (entry.device() != 0) {
            text(" device=").text(Long.toString(entry.device()));
        }
        byte @Nullable [] link = entry.link();
        if (link != null) {
            text(" link=");
            escaped(link);
        }
        if (entry.attributes() != null) {
            text(" xattr=").text(entry.attributes());
        }
        text("\n");
        stream.write(line, 0, length);
    }

    private MtreeWriter text(String ascii) {
        reserve(ascii.length());
        for (int i = 0; i < ascii.length(); i++) {
            line[length++] = (byte) ascii.charAt(i);
        }
        return this;
    }

    private void nanos(int value) {
        reserve(9);
        int rest = value;
        for (int i = 8; i >= 0; i--) {
            line[length + i] = (byte) ('0' + rest % 10);
            rest /= 10;
        }
        length += 9;
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
