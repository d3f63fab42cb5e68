package pve.oci.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.UnixSocket;

/**
 * A listening socket and its file.
 *
 * @param path the file; removed at the end unless somebody else made the socket
 */
record SocketFile(UnixSocket socket, String path, boolean isOurs) implements AutoCloseable {
    private static final int BACKLOG = 128;
    private static final int LISTEN_FDS_START = 3;

    /** Listens at the path, for root only. The file of a daemon that is gone is replaced, that of a live one is not. */
    static SocketFile listen(String path) throws IOException {
        Path file = Path.of(path).toAbsolutePath();
        Path directory = file.getParent();
        if (directory != null && !Files.isDirectory(directory)) {
            Files.createDirectories(
                    directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
        }
        removeStale(file);
        UnixSocket socket;
        try {
            // the umask is the process's, so that no moment is left in which others could connect
            int umask = Libc.umask(0177);
            try {
                socket = UnixSocket.listen(file.toString(), BACKLOG);
            } finally {
                Libc.umask(umask);
            }
        } catch (ErrnoException e) {
            throw new IOException("cannot listen on " + file + ": " + e.getMessage(), e);
        }
        return new SocketFile(socket, file.toString(), true);
    }

    private static void removeStale(Path file) throws IOException {
        try (UnixSocket probe = UnixSocket.connect(file.toString())) {
            throw new IOException("cannot listen on " + file + ": a daemon serves it already (" + probe.peer() + ")");
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return;
            }
            // unix(7): nobody listens at the file
            if (e.errno() != 111) {
                throw new IOException("cannot use " + file + ": " + e.getMessage(), e);
            }
        }
        if (!isSocket(file)) {
            throw new IOException("cannot listen on " + file + ": it exists and is not a socket");
        }
        Files.delete(file);
    }

    /** connect(2) is refused by every file that is not a socket, too. */
    private static boolean isSocket(Path file) throws IOException {
        return ((int) Files.getAttribute(file, "unix:mode", LinkOption.NOFOLLOW_LINKS) & Libc.S_IFMT) == Libc.S_IFSOCK;
    }

    /** The socket that systemd passed, sd_listen_fds(3), or null when it passed none. */
    static @Nullable SocketFile ofSystemd(@Nullable String listenPid, @Nullable String listenFds) throws IOException {
        if (listenPid == null
                || listenFds == null
                || !listenPid.equals(Long.toString(ProcessHandle.current().pid()))) {
            return null;
        }
        if (!listenFds.equals("1")) {
            throw new IOException("systemd passes " + listenFds + " sockets, 1 is expected");
        }
        UnixSocket socket = UnixSocket.adopt(new Fd(LISTEN_FDS_START));
        if (!socket.isListener()) {
            throw new IOException("descriptor 3 of systemd is not a listening Unix stream socket");
        }
        socket.setNonBlockingCloseOnExec();
        return new SocketFile(socket, "(systemd)", false);
    }

    @Override
    public void close() {
        socket.close();
        if (isOurs) {
            try {
                Files.deleteIfExists(Path.of(path));
            } catch (IOException e) {
                // the next start replaces it
            }
        }
    }
}
