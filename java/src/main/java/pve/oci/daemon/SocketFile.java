package pve.oci.daemon;

import java.io.FileDescriptor;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXServerSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.newsclub.net.unix.ConnectionRefusedSocketException;
import org.newsclub.net.unix.FileDescriptorCast;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Libc;

/**
 * A listening socket and its file. Accepting does not wait.
 *
 * @param bound a channel that has the file bound; null when somebody else made the socket, whose file then stays
 * @param number of the descriptor, for {@link pve.oci.linux.Poll}
 */
record SocketFile(
        AFUNIXServerSocketChannel channel, @Nullable AFUNIXServerSocketChannel bound, int number, String path)
        implements AutoCloseable {
    private static final int BACKLOG = 128;
    private static final int LISTEN_FDS_START = 3;

    /**
     * Listens at the path, for root only. The file of a daemon that is gone is replaced, that of a live one is not. The
     * directory that holds the file is made if it is missing; the directory above it must be there.
     */
    static SocketFile listen(String path) throws IOException {
        Path file = Path.of(path).toAbsolutePath();
        makeDirectory(file);
        removeStale(file);
        Path hidden = file.resolveSibling("." + file.getFileName() + ".new");
        AFUNIXServerSocketChannel bound = AFUNIXServerSocketChannel.open();
        try {
            // junixsocket gives every file that it binds mode 0666. So it binds in a directory that nobody else can
            // enter, and the file takes its place when its mode is right: at no time can others connect.
            Files.deleteIfExists(hidden.resolve("s"));
            Files.deleteIfExists(hidden);
            Files.createDirectory(hidden, mode("rwx------"));
            bind(bound, hidden.resolve("s"), file);
            // a channel accepts only while the file has the name that it was bound to, so a duplicate of it accepts
            FileDescriptorCast cast = FileDescriptorCast.duplicating(bound.getFileDescriptor());
            return of(cast.as(AFUNIXServerSocketChannel.class), bound, file.toString());
        } catch (IOException e) {
            bound.close();
            String reason = e instanceof FileSystemException failed ? Configuration.reason(failed) : e.getMessage();
            throw new IOException("cannot listen on " + file + ": " + reason, e);
        } finally {
            deleteQuietly(hidden);
        }
    }

    private static void deleteQuietly(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // the error to report is why the socket cannot be made
        }
    }

    private static void bind(AFUNIXServerSocketChannel channel, Path hidden, Path file) throws IOException {
        try {
            channel.socket().setReuseAddress(false);
            channel.setDeleteOnClose(false);
            channel.bind(AFUNIXSocketAddress.of(hidden), BACKLOG);
            Files.setPosixFilePermissions(hidden, PosixFilePermissions.fromString("rw-------"));
            Files.move(hidden, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(hidden);
        }
    }

    private static FileAttribute<Set<PosixFilePermission>> mode(String permissions) {
        return PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions));
    }

    private static SocketFile of(
            AFUNIXServerSocketChannel channel, @Nullable AFUNIXServerSocketChannel bound, String path)
            throws IOException {
        channel.setDeleteOnClose(false);
        channel.configureBlocking(false);
        int number = FileDescriptorCast.using(channel.getFileDescriptor()).as(Integer.class);
        return new SocketFile(channel, bound, number, path);
    }

    private static void makeDirectory(Path file) throws IOException {
        Path directory = file.getParent();
        if (directory == null || Files.isDirectory(directory)) {
            return;
        }
        Path above = directory.getParent();
        if (above == null || !Files.isDirectory(above)) {
            throw new IOException("cannot listen on " + file + ": there is no directory " + above);
        }
        Files.createDirectory(directory, mode("rwxr-xr-x"));
    }

    private static void removeStale(Path file) throws IOException {
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (!isSocket(file)) {
            throw new IOException("cannot listen on " + file + ": it exists and is not a socket");
        }
        try (AFUNIXSocketChannel probe = AFUNIXSocketChannel.open(AFUNIXSocketAddress.of(file))) {
            throw new IOException("cannot listen on " + file + ": process "
                    + probe.getPeerCredentials().getPid() + " serves it already");
        } catch (ConnectionRefusedSocketException e) {
            // unix(7): nobody listens at the file, its daemon is gone
            Files.delete(file);
        }
    }

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
        return ofDescriptor(LISTEN_FDS_START);
    }

    /** A listening socket that is open already. */
    static SocketFile ofDescriptor(int number) throws IOException {
        FileDescriptor descriptor = FileDescriptorCast.unsafeUsing(number).getFileDescriptor();
        try {
            return of(FileDescriptorCast.using(descriptor).as(AFUNIXServerSocketChannel.class), null, "(systemd)");
        } catch (ClassCastException | IOException e) {
            throw new IOException("descriptor " + number + " of systemd is not a listening Unix stream socket", e);
        }
    }

    /** The path of the socket's file; null when it has none, as an abstract socket. */
    @Nullable
    String file() throws IOException {
        if (bound != null) {
            return path;
        }
        AFUNIXSocketAddress address = channel.getLocalAddress();
        return address != null && address.hasFilename() ? address.getFile().toString() : null;
    }

    /** The next connection, or null when none waits. */
    @Nullable
    ChannelSocket accept() throws IOException {
        AFUNIXSocketChannel connection = channel.accept();
        return connection == null ? null : ChannelSocket.of(connection);
    }

    @Override
    public void close() {
        if (bound == null) {
            // junixsocket's close begins with shutdown(2), which would end systemd's listening on the same socket too
            return;
        }
        try {
            channel.close();
            bound.close();
            Files.deleteIfExists(Path.of(path));
        } catch (IOException e) {
            // the next start replaces the file
        }
    }
}
