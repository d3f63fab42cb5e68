package pve.oci.linux;

import java.io.IOException;
import java.io.OutputStream;

/** Writes to a descriptor, which it owns. */
public final class FdOutputStream extends OutputStream {
    private final Fd fd;
    private final NativeBuffer buffer = NativeBuffer.allocate(1 << 16);

    public FdOutputStream(Fd fd) {
        this.fd = fd;
    }

    @Override
    public void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
        int at = offset;
        while (at < offset + length) {
            int count = Math.min(buffer.size(), offset + length - at);
            buffer.buffer().put(0, bytes, at, count);
            // write(2) may write less than it was given
            at += (int) Libc.write(fd.number(), buffer.address(), count);
        }
    }

    @Override
    public void close() {
        fd.close();
    }
}
