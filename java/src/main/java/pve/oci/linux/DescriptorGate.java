package pve.oci.linux;

import org.jspecify.annotations.Nullable;

/**
 * Keeps descriptors of users other than root away from a listening socket. A client can send them before its connection
 * is accepted, and then they lie in the kernel's queue. Whoever reads the message, or closes the socket, drops them,
 * and that may be the last close(2) of a file. Its owner can make this close wait, for example with a TCP socket and
 * SO_LINGER. So where users other than root may connect, the kernel has to refuse descriptors until {@link
 * ChannelSocket#acceptDescriptors}. Before Linux 6.16 it cannot do so.
 *
 * <p>The mode of the socket's file says who may connect, and it may change at any time. So the owner of this object
 * waits until {@link #number} can be read, and then calls {@link #refresh}.
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
        refresh();
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
            // then the mode is looked at when somebody connects
            return null;
        }
    }

    /** For {@link Poll}: readable when the file's mode or owner may have changed. */
    public int number() {
        return changes == null ? -1 : changes.number();
    }

    /** Reads the mode of the socket's file, and has descriptors refused or let pass accordingly. */
    public void refresh() {
        try {
            while (changes != null && Libc.read(changes.number(), events.address(), EVENTS_SIZE) > 0) {
                // the events are only read away: what they are about is looked at below
            }
        } catch (ErrnoException e) {
            // EAGAIN: there are no events
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
