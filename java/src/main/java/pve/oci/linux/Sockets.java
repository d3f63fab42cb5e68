package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import java.lang.ref.Reference;

/** System calls on sockets that junixsocket does not offer, written like those of {@link Libc}. */
final class Sockets {
    static final int SOL_SOCKET = 1;
    private static final int SO_PEERPIDFD = 77;
    private static final int SO_PASSRIGHTS = 83;

    private Sockets() {}

    /** {@code getsockopt(sockfd, SOL_SOCKET, SO_PEERPIDFD, ...)}: returns a new descriptor of the peer's process. */
    static int peerPidfd(int socket) throws ErrnoException {
        NativeBuffer value = NativeBuffer.allocate(8);
        value.buffer().putInt(4, 4);
        check(
                "getsockopt",
                SocketFunctions.getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, value.address(), value.address() + 4));
        return value.buffer().getInt(0);
    }

    /**
     * {@code setsockopt(sockfd, SOL_SOCKET, SO_PASSRIGHTS, ...)}; a kernel that does not know the option is no error. A
     * connection takes over the setting of its listener.
     */
    static void passDescriptors(int socket, boolean passes) {
        NativeBuffer value = NativeBuffer.allocate(4);
        value.buffer().putInt(0, passes ? 1 : 0);
        try {
            SocketFunctions.setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, value.address(), value.size());
        } finally {
            Reference.reachabilityFence(value);
        }
    }

    /** {@code int inotify_init1(int flags)} */
    static int inotifyInit(int flags) throws ErrnoException {
        return check("inotify_init1", SocketFunctions.inotify_init1(flags));
    }

    /** {@code int inotify_add_watch(int fd, const char *pathname, uint32_t mask)} */
    static int inotifyAddWatch(int inotify, long path, int mask) throws ErrnoException {
        return check("inotify_add_watch", SocketFunctions.inotify_add_watch(inotify, path, mask));
    }

    private static int check(String call, int result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, Native.getLastError());
        }
        return result;
    }

    /** The C functions themselves, bound by name. */
    private static final class SocketFunctions {
        static {
            Native.register(SocketFunctions.class, NativeLibrary.getProcess());
        }

        private SocketFunctions() {}

        static native int getsockopt(int socket, int level, int option, long value, long length);

        static native int setsockopt(int socket, int level, int option, long value, int length);

        static native int inotify_init1(int flags);

        static native int inotify_add_watch(int inotify, long path, int mask);
    }
}
