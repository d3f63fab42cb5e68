package pve.oci.varlink;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Fd;
import pve.oci.linux.PeerCredentials;

/**
 * Who is at the other end of a connection.
 *
 * @param pidfd holds the process, so that its number cannot be another's; null where the kernel has no SO_PEERPIDFD
 */
public record Peer(PeerCredentials credentials, @Nullable Fd pidfd) implements AutoCloseable {
    static Peer of(ChannelSocket socket) throws IOException {
        return new Peer(socket.peer(), socket.peerPidfd());
    }

    public int pid() {
        return credentials.pid();
    }

    public long uid() {
        return credentials.uid();
    }

    public boolean isRoot() {
        return uid() == 0;
    }

    @Override
    public void close() {
        if (pidfd != null) {
            pidfd.close();
        }
    }
}
