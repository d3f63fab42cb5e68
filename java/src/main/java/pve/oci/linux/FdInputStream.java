package pve.oci.linux;

import java.io.IOException;
import java.io.InputStream;

/** Reads from a descriptor, which it owns. */
public final class FdInputStream extends InputStream {
    private final Fd fd;
    private final NativeBuffer buffer = NativeBuffer.allocate(1 << 16);

    public FdInputStream(Fd fd) {
        this.fd = fd;
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        int count = (int) Libc.read(fd.number(), buffer.address(), Math.min(length, buffer.size()));
        buffer.buffer().get(0, bytes, offset, count);
        return count == 0 ? -1 : count;
    }

    @Override
    public void close() {
        fd.close();
    }
}
