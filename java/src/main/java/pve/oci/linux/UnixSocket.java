package pve.oci.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A connected stream socket of AF_UNIX that carries bytes and file descriptors. No call waits. One thread owns it.
 *
 * <p>Messages with descriptors are recvmsg(2) and sendmsg(2) of our own, also where the socket is junixsocket's
 * ({@link ChannelSocket}): as of 2.11.1 junixsocket's buffer for descriptors is 256 bytes whatever is asked for, and of
 * a message that brings more than 60 descriptors those that fitted stay open for ever.
 */
public abstract class UnixSocket implements AutoCloseable {
    /** {@link #receive} and {@link #send}: nothing could be done without waiting. */
    public static final int WOULD_BLOCK = 0;

    /** {@link #receive}: the peer sends no more. */
    public static final int END = -1;

    /** No message of ours has more: an archive and a root directory. */
    public static final int MAXIMUM_DESCRIPTORS = 2;

    static final int BUFFER_SIZE = 64 << 10;

    /**
     * Lent for one call. If each socket had its own, the garbage collector would free those of hundreds of sockets
     * late.
     */
    private static final NativeBufferPool DATA = new NativeBufferPool(BUFFER_SIZE);

    private static final int SCM_RIGHTS = 1;
    private static final int MSG_PEEK = 0x2;
    private static final int MSG_CTRUNC = 0x8;
    private static final int MSG_DONTWAIT = 0x40;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;

    private @Nullable MessageMemory memory;

    /** A socket that is open already and belongs to this process, such as the one a worker is started with. */
    public static UnixSocket of(Fd fd) {
        return new UnixSocket() {
            @Override
            public int number() {
                return fd.number();
            }

            @Override
            public void close() {
                fd.close();
            }
        };
    }

    /** For {@link Poll}. */
    public abstract int number();

    @Override
    public abstract void close();

    /**
     * Looks at what has arrived, without taking it: up to {@code length} bytes into {@code into}, from the offset on.
     *
     * @return the number of bytes, {@link #WOULD_BLOCK} or {@link #END}
     */
    public int peek(byte[] into, int offset, int length) throws IOException {
        return receive(into, offset, length, MSG_PEEK | MSG_DONTWAIT, null);
    }

    /**
     * Takes bytes that have arrived, and the descriptors that came with them.
     *
     * @param received gets the descriptors; null: descriptors are discarded by the kernel
     * @return the number of bytes, {@link #WOULD_BLOCK} or {@link #END}
     */
    public int receive(byte[] into, int offset, int length, @Nullable List<Fd> received) throws IOException {
        return receive(into, offset, length, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, received);
    }

    private int receive(byte[] into, int offset, int length, int flags, @Nullable List<Fd> received)
            throws IOException {
        NativeBuffer data = DATA.take();
        try {
            return receive(data, Math.min(length, BUFFER_SIZE), into, offset, flags, received);
        } finally {
            DATA.give(data);
        }
    }

    private int receive(NativeBuffer data, int size, byte[] into, int offset, int flags, @Nullable List<Fd> received)
            throws IOException {
        MessageMemory message = memory();
        message.prepare(data, size, received == null ? 0 : MessageMemory.CONTROL_SIZE);
        long count;
        try {
            count = Libc.recvmsg(number(), message.header.address(), flags);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EAGAIN) {
                return WOULD_BLOCK;
            }
            // recv(2): a peer that closed with unread data of ours; for the reader that is an end like any other
            if (e.errno() == Errno.ECONNRESET) {
                return END;
            }
            throw e;
        }
        if (received != null) {
            int before = received.size();
            message.takeDescriptors(received);
            if ((message.flags() & MSG_CTRUNC) != 0) {
                // those that did fit must not stay open
                received.subList(before, received.size()).forEach(Fd::close);
                received.subList(before, received.size()).clear();
                throw new IOException("message brings more than " + MAXIMUM_DESCRIPTORS
                        + " descriptors, or more than this process may open");
            }
        }
        if (count == 0) {
            return END;
        }
        data.buffer().get(0, into, offset, (int) count);
        return (int) count;
    }

    /**
     * Sends what fits without waiting; the descriptors go with the first byte.
     *
     * @return the number of bytes, or {@link #WOULD_BLOCK}: then the descriptors were not sent either
     */
    public int send(byte[] bytes, int offset, int length, List<Fd> descriptors) throws IOException {
        MessageMemory message = memory();
        int size = Math.min(length, BUFFER_SIZE);
        NativeBuffer data = DATA.take();
        try {
            data.buffer().put(0, bytes, offset, size);
            message.prepare(data, size, 0);
            if (!descriptors.isEmpty()) {
                message.putDescriptors(descriptors);
            }
            return (int) Libc.sendmsg(number(), message.header.address(), MSG_DONTWAIT | MSG_NOSIGNAL);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EAGAIN) {
                return WOULD_BLOCK;
            }
            throw e;
        } finally {
            DATA.give(data);
        }
    }

    private MessageMemory memory() {
        MessageMemory present = memory;
        if (present == null) {
            present = new MessageMemory();
            memory = present;
        }
        return present;
    }

    /** struct msghdr with one struct iovec, and room for struct cmsghdr with SCM_RIGHTS. */
    private static final class MessageMemory {
        static final int CONTROL_SIZE = 16 + 4 * MAXIMUM_DESCRIPTORS;

        final NativeBuffer header = NativeBuffer.allocate(72);
        final NativeBuffer control = NativeBuffer.allocate(CONTROL_SIZE);

        void prepare(NativeBuffer data, int dataSize, int controlSize) {
            header.buffer()
                    .putLong(16, header.address() + 56)
                    .putLong(24, 1)
                    .putLong(32, controlSize == 0 ? 0 : control.address())
                    .putLong(40, controlSize)
                    .putInt(48, 0)
                    .putLong(56, data.address())
                    .putLong(64, dataSize);
        }

        int flags() {
            return header.buffer().getInt(48);
        }

        void putDescriptors(List<Fd> descriptors) {
            int size = 16 + 4 * descriptors.size();
            control.buffer().putLong(0, size).putInt(8, Sockets.SOL_SOCKET).putInt(12, SCM_RIGHTS);
            for (int i = 0; i < descriptors.size(); i++) {
                control.buffer().putInt(16 + 4 * i, descriptors.get(i).number());
            }
            header.buffer().putLong(32, control.address()).putLong(40, (size + 7) & ~7);
        }

        void takeDescriptors(List<Fd> received) {
            long end = header.buffer().getLong(40);
            for (long at = 0; at + 16 <= end; ) {
                ByteBuffer buffer = control.buffer();
                long length = buffer.getLong((int) at);
                if (length < 16 || at + length > end) {
                    return;
                }
                if (buffer.getInt((int) at + 8) == Sockets.SOL_SOCKET && buffer.getInt((int) at + 12) == SCM_RIGHTS) {
                    for (long i = at + 16; i + 4 <= at + length; i += 4) {
                        received.add(new Fd(buffer.getInt((int) i)));
                    }
                }
                at += (length + 7) & ~7;
            }
        }
    }
}
