package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

/** System calls on sockets, in the manner of {@link Libc}: one method each, documented by its C prototype. */
final class Sockets {
    static final int AF_UNIX = 1;
    static final int SOCK_STREAM = 1;
    static final int SOCK_DGRAM = 2;
    static final int SOCK_NONBLOCK = Libc.O_NONBLOCK;
    static final int SOCK_CLOEXEC = Libc.O_CLOEXEC;
    static final int SOL_SOCKET = 1;
    static final int SO_TYPE = 3;
    static final int SO_PEERCRED = 17;
    static final int SO_ACCEPTCONN = 30;
    static final int SO_DOMAIN = 39;
    static final int SO_PEERPIDFD = 77;
    static final int SHUT_RD = 0;
    static final int SHUT_WR = 1;
    static final int SHUT_RDWR = 2;

    private Sockets() {}

    /** {@code int socket(int domain, int type, int protocol)} */
    static int socket(int domain, int type) throws ErrnoException {
        return check("socket", C.socket(domain, type, 0));
    }

    /** {@code int socketpair(int domain, int type, int protocol, int sv[2])} */
    static void socketpair(int domain, int type, long pair) throws ErrnoException {
        check("socketpair", C.socketpair(domain, type, 0, pair));
    }

    /** {@code int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen)} */
    static void bind(int socket, long address, int length) throws ErrnoException {
        check("bind", C.bind(socket, address, length));
    }

    /** {@code int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen)} */
    static void connect(int socket, long address, int length) throws ErrnoException {
        check("connect", C.connect(socket, address, length));
    }

    /** {@code int listen(int sockfd, int backlog)} */
    static void listen(int socket, int backlog) throws ErrnoException {
        check("listen", C.listen(socket, backlog));
    }

    /** {@code int accept4(int sockfd, struct sockaddr *addr, socklen_t *addrlen, int flags)} */
    static int accept4(int socket, int flags) throws ErrnoException {
        return check("accept4", C.accept4(socket, 0, 0, flags));
    }

    /** {@code int shutdown(int sockfd, int how)} */
    static void shutdown(int socket, int how) throws ErrnoException {
        check("shutdown", C.shutdown(socket, how));
    }

    /** {@code int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen)} */
    static void getsockopt(int socket, int level, int option, long value, long length) throws ErrnoException {
        check("getsockopt", C.getsockopt(socket, level, option, value, length));
    }

    /** {@code int fcntl(int fd, int op, int arg)} */
    static int fcntl(int fd, int operation, int argument) throws ErrnoException {
        return check("fcntl", C.fcntl(fd, operation, argument));
    }

    /** {@code int poll(struct pollfd *fds, nfds_t nfds, int timeout)}; EINTR is given to the caller as 0. */
    static int poll(long descriptors, int count, int timeoutMillis) throws ErrnoException {
        int result = C.poll(descriptors, count, timeoutMillis);
        if (result < 0 && Native.getLastError() == Errno.EINTR) {
            return 0;
        }
        return check("poll", result);
    }

    private static int check(String call, int result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, Native.getLastError());
        }
        return result;
    }

    /** The C functions themselves, bound by name. */
    private static final class C {
        static {
            Native.register(C.class, NativeLibrary.getProcess());
        }

        private C() {}

        static native int socket(int domain, int type, int protocol);

        static native int socketpair(int domain, int type, int protocol, long pair);

        static native int bind(int socket, long address, int length);

        static native int connect(int socket, long address, int length);

        static native int listen(int socket, int backlog);

        static native int accept4(int socket, long address, long length, int flags);

        static native int shutdown(int socket, int how);

        static native int getsockopt(int socket, int level, int option, long value, long length);

        static native int fcntl(int fd, int operation, int argument);

        static native int poll(long descriptors, long count, int timeout);
    }
}
