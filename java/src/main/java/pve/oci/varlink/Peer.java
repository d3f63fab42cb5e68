package pve.oci.varlink;

import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.PeerCredentials;
import pve.oci.linux.UnixSocket;

/**
 * Who is at the other end of a connection.
 *
 * @param pidfd holds the process, so that its number cannot be another's; null where the kernel has no SO_PEERPIDFD
 */
public record Peer(PeerCredentials credentials, @Nullable Fd pidfd) implements AutoCloseable {
    static Peer of(UnixSocket socket) throws ErrnoException {
        return new Peer(socket.peer(), socket.peerPidfd());
    }

    public int pid() {
        return credentials.pid();
    }

    public long uid() {
        return credentials.uid();
    }

    @Override
    public void close() {
        if (pidfd != null) {
            pidfd.close();
        }
    }
}
