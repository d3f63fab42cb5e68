package pve.oci.linux;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * A connected Unix stream socket whose messages may bring file descriptors (unix(7), SCM_RIGHTS). Bytes in and out; one
 * thread reads, one writes.
 */
public final class MessageSocket {
    private static final int SOL_SOCKET = 1;
    private static final int SCM_RIGHTS = 1;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;

    /** sizeof(struct msghdr) on 64-bit Linux: name, namelen, iov, iovlen, control, controllen, flags */
    private static final int MSGHDR_SIZE = 56;

    private static final int CMSG_HEADER_SIZE = 16;
    private static final int MAXIMUM_DESCRIPTORS = 8;

    private final int fd;
    private final NativeBuffer input = NativeBuffer.allocate(64 << 10);
    private final NativeBuffer header = NativeBuffer.allocate(MSGHDR_SIZE);
    private final NativeBuffer vector = NativeBuffer.allocate(16);
    private final NativeBuffer control = NativeBuffer.allocate(CMSG_HEADER_SIZE + 4 * MAXIMUM_DESCRIPTORS);
    private final List<Fd> received = new ArrayList<>();

    /** The descriptor stays the caller's. */
    public MessageSocket(int fd) {
        this.fd = fd;
        input.buffer().limit(0);
    }

    /** The next byte, or -1 when the peer has closed. Descriptors that come with it go to {@link #takeDescriptors}. */
    public int read() throws ErrnoException {
        ByteBuffer bytes = input.buffer();
        if (!bytes.hasRemaining() && !fill()) {
            return -1;
        }
        return bytes.get() & 0xff;
    }

    /** Descriptors received since the last call; the caller owns them. */
    public List<Fd> takeDescriptors() {
        List<Fd> taken = new ArrayList<>(received);
        received.clear();
        return taken;
    }

    private boolean fill() throws ErrnoException {
        vector.buffer().putLong(0, input.address()).putLong(8, input.size());
        header.buffer()
                .putLong(0, 0)
                .putLong(8, 0)
                .putLong(16, vector.address())
                .putLong(24, 1)
                .putLong(32, control.address())
                .putLong(40, control.size())
                .putLong(48, 0);
        int length = (int) Libc.recvmsg(fd, header.address(), MSG_CMSG_CLOEXEC);
        input.buffer().position(0).limit(length);
        takeControl((int) header.buffer().getLong(40));
        return length > 0;
    }

    private void takeControl(int size) {
        // struct cmsghdr: cmsg_len 64, cmsg_level 32, cmsg_type 32, data; one holds all descriptors of a message
        if (size < CMSG_HEADER_SIZE) {
            return;
        }
        ByteBuffer message = control.buffer();
        int length = (int) message.getLong(0);
        if (message.getInt(8) == SOL_SOCKET && message.getInt(12) == SCM_RIGHTS) {
            for (int at = CMSG_HEADER_SIZE; at + 4 <= Math.min(length, size); at += 4) {
                received.add(new Fd(message.getInt(at)));
            }
        }
    }

    /** Sends all of the bytes. A peer that is gone is EPIPE, without the signal. */
    public void write(byte[] bytes) throws ErrnoException {
        NativeBuffer output = NativeBuffer.allocate(bytes.length);
        output.buffer().put(0, bytes);
        NativeBuffer message = NativeBuffer.allocate(MSGHDR_SIZE + 16);
        long done = 0;
        while (done < bytes.length) {
            message.buffer()
                    .putLong(16, message.address() + MSGHDR_SIZE)
                    .putLong(24, 1)
                    .putLong(MSGHDR_SIZE, output.address() + done)
                    .putLong(MSGHDR_SIZE + 8, bytes.length - done);
            done += Libc.sendmsg(fd, message.address(), MSG_NOSIGNAL);
        }
    }
}
