package pve.oci.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXSelectorProvider;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketCredentials;
import org.newsclub.net.unix.ConnectionResetSocketException;
import org.newsclub.net.unix.FileDescriptorCast;

/**
 * A connection that junixsocket made or accepted. Bytes without descriptors are read from its channel, which never has
 * a buffer for descriptors. Messages that may bring descriptors are read by {@link UnixSocket}, by the number of the
 * same socket. Everything is sent that way too: a channel closes itself when it is written to and the peer is gone,
 * while other code still waits for the socket by its number.
 */
public final class ChannelSocket extends UnixSocket {
    private final AFUNIXSocketChannel channel;
    private final int number;
    private final Object closing = new Object();

    private ChannelSocket(AFUNIXSocketChannel channel) throws IOException {
        this.channel = channel;
        this.number = FileDescriptorCast.using(channel.getFileDescriptor()).as(Integer.class);
        channel.setAncillaryReceiveBufferSize(0);
        channel.configureBlocking(false);
    }

    /** Takes over a channel that is connected. */
    public static ChannelSocket of(AFUNIXSocketChannel channel) throws IOException {
        try {
            return new ChannelSocket(channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /** Connects to the listener at that path. */
    public static ChannelSocket connect(String path) throws IOException {
        return of(AFUNIXSocketChannel.open(AFUNIXSocketAddress.of(Path.of(path))));
    }

    /** Two sockets that are each other's peers. */
    public static List<ChannelSocket> pair() throws IOException {
        var pair = AFUNIXSelectorProvider.provider().openSocketChannelPair();
        return List.of(of(pair.getSocket1()), of(pair.getSocket2()));
    }

    @Override
    public int receive(byte[] into, int offset, int length, @Nullable List<Fd> received) throws IOException {
        if (received != null) {
            return super.receive(into, offset, length, received);
        }
        try {
            return channel.read(ByteBuffer.wrap(into, offset, Math.min(length, BUFFER_SIZE)));
        } catch (ConnectionResetSocketException e) {
            // a peer that closed with unread data of ours; for the reader that is an end like any other
            return END;
        }
    }

    /** Who connected, or accepted, as of that moment (unix(7), SO_PEERCRED). */
    public PeerCredentials peer() throws IOException {
        AFUNIXSocketCredentials peer = channel.getPeerCredentials();
        return new PeerCredentials((int) peer.getPid(), peer.getUid(), peer.getGid());
    }

    /** A descriptor of the peer's process, or null where the kernel has none: before Linux 6.5, or the peer is gone. */
    public @Nullable Fd peerPidfd() {
        try {
            return new Fd(Sockets.peerPidfd(number));
        } catch (ErrnoException e) {
            return null;
        }
    }

    /**
     * Has the kernel refuse descriptors: sendmsg(2) of the peer fails with EPERM, and nothing of them ever reaches this
     * process. A kernel before Linux 6.16 cannot do that. There they are dropped when their message is read without a
     * buffer for them.
     */
    public void refuseDescriptors() {
        Sockets.passDescriptors(number, false);
    }

    /** Lets the peer send descriptors, also where the listener does not let others do so. */
    public void acceptDescriptors() {
        Sockets.passDescriptors(number, true);
    }

    /** Ends both directions: whoever waits for this socket sees its end. May be called by any thread, at any time. */
    public void shutdown() {
        shutdown(true);
    }

    /** Ends the direction towards us: after what has arrived comes the end. May be called by any thread. */
    public void shutdownReceiving() {
        shutdown(false);
    }

    private void shutdown(boolean both) {
        // not while the number may already be another socket's
        synchronized (closing) {
            if (channel.isOpen()) {
                try {
                    channel.shutdownInput();
                    if (both) {
                        channel.shutdownOutput();
                    }
                } catch (IOException e) {
                    // the peer has ended it already
                }
            }
        }
    }

    @Override
    public int number() {
        // a channel closes itself when the peer is gone, and the number may be another file's from then on
        return channel.isOpen() ? number : -1;
    }

    @Override
    public void close() {
        synchronized (closing) {
            try {
                channel.close();
            } catch (IOException e) {
                // close(2): the descriptor is gone whatever is returned
            }
        }
    }
}
