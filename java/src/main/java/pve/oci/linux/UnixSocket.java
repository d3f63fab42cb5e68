package pve.oci.linux;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A socket of AF_UNIX, never blocking and close-on-exec, that carries bytes and file descriptors. One thread owns it;
 * only {@link #shutdown} may be called by others.
 *
 * <p>Not junixsocket: as of 2.11.1 its buffer for descriptors is 256 bytes whatever is asked for, and of a message that
 * brings more than 60 of them those that fitted stay open for ever, so that any peer could use up the process's
 * descriptors.
 */
public final class UnixSocket implements AutoCloseable {
    /** {@link #receive} and {@link #send}: nothing could be done without waiting. */
    public static final int WOULD_BLOCK = 0;

    /** {@link #receive}: the peer sends no more. */
    public static final int END = -1;

    /** The kernel's SCM_MAX_FD: more are never in one message. */
    public static final int MAXIMUM_DESCRIPTORS = 253;

    private static final int BUFFER_SIZE = 64 << 10;

    /** Held for a call only: were it each socket's own, the collector would free the memory of hundreds of them late. */
    private static final NativeBufferPool DATA = new NativeBufferPool(BUFFER_SIZE);

    private static final int ADDRESS_SIZE = 110;
    private static final int SCM_RIGHTS = 1;
    private static final int F_SETFD = 2;
    private static final int F_GETFL = 3;
    private static final int F_SETFL = 4;
    private static final int FD_CLOEXEC = 1;
    private static final int MSG_PEEK = 0x2;
    private static final int MSG_CTRUNC = 0x8;
    private static final int MSG_DONTWAIT = 0x40;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final int MSG_CMSG_CLOEXEC = 0x40000000;

    private final Fd fd;
    private final Object closing = new Object();
    private @Nullable MessageMemory memory;

    private UnixSocket(Fd fd) {
        this.fd = fd;
    }

    /** Takes over a socket that is open already. */
    public static UnixSocket adopt(Fd fd) {
        return new UnixSocket(fd);
    }

    /** For a socket that was opened by somebody else: makes it one as this class expects. */
    public void setNonBlockingCloseOnExec() throws ErrnoException {
        int flags = Sockets.fcntl(fd.number(), F_GETFL, 0);
        Sockets.fcntl(fd.number(), F_SETFL, flags | Libc.O_NONBLOCK);
        Sockets.fcntl(fd.number(), F_SETFD, FD_CLOEXEC);
    }

    /** A stream connected to the listener at that path. */
    public static UnixSocket connect(String path) throws ErrnoException {
        return open(Sockets.SOCK_STREAM, socket -> Sockets.connect(socket, address(path), addressLength(path)));
    }

    /** A datagram socket whose peer is the one at that path; a path that starts with '@' is an abstract name. */
    public static UnixSocket connectDatagram(String path) throws ErrnoException {
        return open(Sockets.SOCK_DGRAM, socket -> Sockets.connect(socket, address(path), addressLength(path)));
    }

    /** A listening stream socket, bound to a path that must not exist. */
    public static UnixSocket listen(String path, int backlog) throws ErrnoException {
        return open(Sockets.SOCK_STREAM, socket -> {
            Sockets.bind(socket, address(path), addressLength(path));
            Sockets.listen(socket, backlog);
        });
    }

    /** Two stream sockets that are each other's peers. */
    public static List<UnixSocket> pair() throws ErrnoException {
        NativeBuffer pair = NativeBuffer.allocate(8);
        int type = Sockets.SOCK_STREAM | Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK;
        Sockets.socketpair(Sockets.AF_UNIX, type, pair.address());
        return List.of(
                new UnixSocket(new Fd(pair.buffer().getInt(0))),
                new UnixSocket(new Fd(pair.buffer().getInt(4))));
    }

    private interface Step {
        void apply(int socket) throws ErrnoException;
    }

    private static UnixSocket open(int type, Step step) throws ErrnoException {
        Fd fd = new Fd(Sockets.socket(Sockets.AF_UNIX, type | Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK));
        try {
            step.apply(fd.number());
            return new UnixSocket(fd);
        } catch (ErrnoException | RuntimeException e) {
            fd.close();
            throw e;
        }
    }

    /** The next connection, or null when none waits. */
    public @Nullable UnixSocket accept() throws ErrnoException {
        try {
            return new UnixSocket(new Fd(Sockets.accept4(fd.number(), Sockets.SOCK_CLOEXEC | Sockets.SOCK_NONBLOCK)));
        } catch (ErrnoException e) {
            // accept(2): ECONNABORTED is a peer that has gone again, EINTR and EAGAIN are nothing to accept
            if (e.errno() == Errno.EAGAIN || e.errno() == Errno.EINTR || e.errno() == 103) {
                return null;
            }
            throw e;
        }
    }

    /** Whether this is a listening stream socket of AF_UNIX, as socket activation has to hand over. */
    public boolean isListener() throws ErrnoException {
        return option(Sockets.SO_DOMAIN) == Sockets.AF_UNIX
                && option(Sockets.SO_TYPE) == Sockets.SOCK_STREAM
                && option(Sockets.SO_ACCEPTCONN) == 1;
    }

    /**
     * Looks at what has arrived, without taking it: up to {@code length} bytes into {@code into}.
     *
     * @return the number of bytes, {@link #WOULD_BLOCK} or {@link #END}
     */
    public int peek(byte[] into, int length) throws ErrnoException {
        return receive(into, 0, length, MSG_PEEK | MSG_DONTWAIT, null);
    }

    /**
     * Takes bytes that have arrived, and the descriptors that came with them.
     *
     * @param received gets the descriptors; null: descriptors are discarded by the kernel
     * @return the number of bytes, {@link #WOULD_BLOCK} or {@link #END}
     */
    public int receive(byte[] into, int offset, int length, @Nullable List<Fd> received) throws ErrnoException {
        return receive(into, offset, length, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, received);
    }

    private int receive(byte[] into, int offset, int length, int flags, @Nullable List<Fd> received)
            throws ErrnoException {
        NativeBuffer data = DATA.take();
        try {
            return receive(data, Math.min(length, BUFFER_SIZE), into, offset, flags, received);
        } finally {
            DATA.give(data);
        }
    }

    private int receive(NativeBuffer data, int size, byte[] into, int offset, int flags, @Nullable List<Fd> received)
            throws ErrnoException {
        MessageMemory message = memory();
        message.prepare(data, size, received == null ? 0 : MessageMemory.CONTROL_SIZE);
        long count;
        try {
            count = Libc.recvmsg(fd.number(), message.header.address(), flags);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EAGAIN) {
                return WOULD_BLOCK;
            }
            // recv(2): a peer that closed with unread data of ours; for the reader that is an end like any other
            if (e.errno() == 104) {
                return END;
            }
            throw e;
        }
        if (received != null) {
            int before = received.size();
            message.takeDescriptors(received);
            if ((message.flags() & MSG_CTRUNC) != 0) {
                // the process's table is full: what did arrive must not stay open
                received.subList(before, received.size()).forEach(Fd::close);
                received.subList(before, received.size()).clear();
                throw new ErrnoException("recvmsg", Errno.EMFILE);
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
    public int send(byte[] bytes, int offset, int length, List<Fd> descriptors) throws ErrnoException {
        MessageMemory message = memory();
        int size = Math.min(length, BUFFER_SIZE);
        NativeBuffer data = DATA.take();
        try {
            data.buffer().put(0, bytes, offset, size);
            message.prepare(data, size, 0);
            if (!descriptors.isEmpty()) {
                message.putDescriptors(descriptors);
            }
            return (int) Libc.sendmsg(fd.number(), message.header.address(), MSG_DONTWAIT | MSG_NOSIGNAL);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EAGAIN) {
                return WOULD_BLOCK;
            }
            throw e;
        } finally {
            DATA.give(data);
        }
    }

    public PeerCredentials peer() throws ErrnoException {
        NativeBuffer value = option(Sockets.SO_PEERCRED, 12);
        ByteBuffer credentials = value.buffer();
        return new PeerCredentials(
                credentials.getInt(4), credentials.getInt(8) & 0xffffffffL, credentials.getInt(12) & 0xffffffffL);
    }

    /** A descriptor of the peer's process, or null where the kernel has none: before Linux 6.5, or the peer is gone. */
    public @Nullable Fd peerPidfd() {
        try {
            return new Fd(option(Sockets.SO_PEERPIDFD));
        } catch (ErrnoException e) {
            return null;
        }
    }

    private int option(int option) throws ErrnoException {
        return option(option, 4).buffer().getInt(4);
    }

    /** The option's value from byte 4 on; the first four hold its length. */
    private NativeBuffer option(int option, int size) throws ErrnoException {
        NativeBuffer value = NativeBuffer.allocate(4 + size);
        value.buffer().putInt(0, size);
        Sockets.getsockopt(fd.number(), Sockets.SOL_SOCKET, option, value.address() + 4, value.address());
        return value;
    }

    /** Ends both directions: whoever waits for this socket sees its end. May be called by any thread, at any time. */
    public void shutdown() {
        shutdown(Sockets.SHUT_RDWR);
    }

    /** Ends our direction: after what has been sent the peer sees the end. May be called by any thread. */
    public void shutdownSending() {
        shutdown(Sockets.SHUT_WR);
    }

    /** Ends the direction towards us: after what has arrived comes the end. May be called by any thread. */
    public void shutdownReceiving() {
        shutdown(Sockets.SHUT_RD);
    }

    private void shutdown(int how) {
        synchronized (closing) {
            if (fd.isOpen()) {
                try {
                    Sockets.shutdown(fd.number(), how);
                } catch (ErrnoException e) {
                    // ENOTCONN: the peer was faster
                }
            }
        }
    }

    /** For {@link Poll}. */
    public int number() {
        return fd.number();
    }

    @Override
    public void close() {
        synchronized (closing) {
            fd.close();
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

    /** struct sockaddr_un: family, then the path. */
    private static long address(String path) throws ErrnoException {
        byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
        if (bytes.length == 0 || bytes.length > ADDRESS_SIZE - 3) {
            throw new ErrnoException("sockaddr_un", Errno.ENAMETOOLONG);
        }
        NativeBuffer address = AddressHolder.MEMORY.get();
        for (int i = 0; i < ADDRESS_SIZE; i++) {
            address.buffer().put(i, (byte) 0);
        }
        address.buffer().putShort(0, (short) Sockets.AF_UNIX).put(2, bytes);
        if (bytes[0] == '@') {
            address.buffer().put(2, (byte) 0);
        }
        return address.address();
    }

    private static int addressLength(String path) {
        int length = 2 + path.getBytes(StandardCharsets.UTF_8).length;
        // unix(7): an abstract name is as long as the address says, a path ends with NUL
        return path.startsWith("@") ? length : length + 1;
    }

    private static final class AddressHolder {
        static final ThreadLocal<NativeBuffer> MEMORY =
                ThreadLocal.withInitial(() -> NativeBuffer.allocate(ADDRESS_SIZE));
    }

    /** struct msghdr with one struct iovec, and room for struct cmsghdr with SCM_RIGHTS. */
    private static final class MessageMemory {
        static final int CONTROL_SIZE = 16 + 4 * (MAXIMUM_DESCRIPTORS + 1);

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
