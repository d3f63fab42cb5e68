package pve.oci.linux;

import org.jspecify.annotations.Nullable;

/**
 * Keeps descriptors of strangers away from a listening socket. Those that come with a message before its connection is
 * accepted are in the kernel's queue already, and whoever reads the message, or closes the socket, drops them: that can
 * be the last close(2) of a file, which waits where its owner wants it to, such as a TCP socket with SO_LINGER. So
 * where others than root may connect, the kernel has to refuse descriptors until {@link
 * ChannelSocket#acceptDescriptors}. It cannot before Linux 6.16.
 *
 * <p>Who may connect is the mode of the socket's file, which may be changed at any time: the owner of this object waits
 * for {@link #number} and calls {@link #look}.
 */
public final class DescriptorGate implements AutoCloseable {
    private static final int IN_ATTRIB = 0x4;
    private static final int FLAGS = 0x80000 | 0x800; // IN_CLOEXEC | IN_NONBLOCK
    private static final int EVENTS_SIZE = 4096;

    private final int listener;
    private final @Nullable String path;
    private final @Nullable Fd changes;
    private final FileStatus status = new FileStatus();
    private final NativeBuffer events = NativeBuffer.allocate(EVENTS_SIZE);

    /** @param path of the socket's file; null: it has none, so that everybody may connect */
    public DescriptorGate(int listener, @Nullable String path) {
        this.listener = listener;
        this.path = path;
        this.changes = path == null ? null : watch(path);
        look();
    }

    private static @Nullable Fd watch(String path) {
        try {
            Fd inotify = new Fd(Sockets.inotifyInit(FLAGS));
            try {
                CString.lend(path, address -> Sockets.inotifyAddWatch(inotify.number(), address, IN_ATTRIB));
                return inotify;
            } catch (ErrnoException e) {
                inotify.close();
                throw e;
            }
        } catch (ErrnoException e) {
            // then it is looked at when somebody connects
            return null;
        }
    }

    /** For {@link Poll}: readable when the file's mode or owner may have changed. */
    public int number() {
        return changes == null ? -1 : changes.number();
    }

    /** Takes in who may connect now. */
    public void look() {
        try {
            while (changes != null && Libc.read(changes.number(), events.address(), EVENTS_SIZE) > 0) {
                // what has changed is looked at below
            }
        } catch (ErrnoException e) {
            // EAGAIN: nothing has
        }
        Sockets.passDescriptors(listener, isForRoot());
    }

    private boolean isForRoot() {
        if (path == null) {
            return false;
        }
        try {
            FileStatus now = CString.lend(path, address -> status.read(Libc.AT_FDCWD, address));
            return now.uid() == 0 && (now.mode() & 077) == 0;
        } catch (ErrnoException e) {
            return false;
        }
    }

    @Override
    public void close() {
        if (changes != null) {
            changes.close();
        }
    }
}
