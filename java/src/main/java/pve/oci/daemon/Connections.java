package pve.oci.daemon;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;
import pve.oci.varlink.LogThrottle;
import pve.oci.varlink.VarlinkServer;

/**
 * The clients' connections. Each has a thread, which takes 120 KiB, so their number is limited. Users other than root,
 * who can ask for little, get few of them; the rest is always there for root.
 */
final class Connections {
    private static final int MAXIMUM = 256;
    private static final int MAXIMUM_OF_OTHERS = 32;
    private static final int MAXIMUM_OF_UID = 16;

    /**
     * Pause before a connection of a user other than root is served. A connection that is closed at once leaves a lock
     * of the JVM's behind, which stays for five seconds (bin/pve-ocid): two thousand of them a second are enough.
     */
    private static final long PAUSE_NANOS = 500_000;

    private static final Logger LOG = LoggerFactory.getLogger(Connections.class);

    private final int maximum;
    private final Consumer<ChannelSocket> server;

    /** The open connections with the uids of their peers. */
    private final Map<ChannelSocket, Long> open = new ConcurrentHashMap<>();

    private volatile long endedNanos = System.nanoTime();
    private final LogThrottle complaints = new LogThrottle();

    /**
     * Allows so many connections that their frames, if all send the largest at once, take a quarter of the heap.
     *
     * @param server serves a connection until its end, and closes it
     */
    Connections(Consumer<ChannelSocket> server) {
        this(maximumFor(Runtime.getRuntime().maxMemory()), server);
    }

    Connections(int maximum, Consumer<ChannelSocket> server) {
        this.maximum = maximum;
        this.server = server;
    }

    static int maximumFor(long heap) {
        return (int) Math.max(8, Math.min(MAXIMUM, heap / 4 / VarlinkServer.MAXIMUM_FRAME_SIZE));
    }

    void serve(ChannelSocket connection) {
        long uid;
        try {
            uid = connection.peer().uid();
        } catch (IOException e) {
            connection.close();
            return;
        }
        if (uid != 0) {
            LockSupport.parkNanos(PAUSE_NANOS);
        }
        if (!hasRoomFor(uid)) {
            complain(uid);
            connection.close();
            return;
        }
        open.put(connection, uid);
        Thread thread = new Thread(() -> serveToEnd(connection), "connection-" + connection.number());
        thread.setDaemon(true);
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            // there is no memory for a thread, or the limit on threads is reached: other connections go on
            open.remove(connection);
            connection.close();
            LOG.error("connection refused uid={} reason=\"{}\"", uid, e.getMessage());
        }
    }

    private void serveToEnd(ChannelSocket connection) {
        try {
            server.accept(connection);
        } finally {
            endedNanos = System.nanoTime();
            open.remove(connection);
            connection.close();
        }
    }

    private boolean hasRoomFor(long uid) {
        if (uid == 0) {
            return open.size() < maximum;
        }
        long ofAllOthers = open.values().stream().filter(each -> each != 0).count();
        long ofUid = open.values().stream().filter(each -> each == uid).count();
        return ofAllOthers < Math.min(MAXIMUM_OF_OTHERS, maximum - maximum / 4)
                && ofUid < Math.min(MAXIMUM_OF_UID, maximum / 4);
    }

    /** Logs refused connections, but not each one. */
    private void complain(long uid) {
        if (complaints.permits()) {
            LOG.warn("connection refused, there are too many uid={} connections={}", uid, open.size());
        }
    }

    int size() {
        return open.size();
    }

    /** Milliseconds since the last connection ended. */
    long millisSinceLast() {
        return (System.nanoTime() - endedNanos) / 1_000_000;
    }

    /** Takes no more calls, lets replies that are on their way be sent, then ends what is left. */
    void shutDown(long graceMillis) throws InterruptedException {
        open.keySet().forEach(ChannelSocket::shutdownReceiving);
        long deadline = System.nanoTime() + graceMillis * 1_000_000;
        while (!open.isEmpty() && System.nanoTime() < deadline) {
            Thread.sleep(5);
        }
        open.keySet().forEach(ChannelSocket::shutdown);
    }
}
