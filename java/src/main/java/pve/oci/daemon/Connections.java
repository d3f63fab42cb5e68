package pve.oci.daemon;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;

/** The clients' connections: one thread each, and not too many of them. */
final class Connections {
    private static final Logger LOG = LoggerFactory.getLogger(Connections.class);

    private final int maximum;
    private final Consumer<ChannelSocket> server;
    private final Set<ChannelSocket> open = ConcurrentHashMap.newKeySet();

    /** @param server serves a connection until its end, and closes it */
    Connections(int maximum, Consumer<ChannelSocket> server) {
        this.maximum = maximum;
        this.server = server;
    }

    void serve(ChannelSocket connection) {
        if (open.size() >= maximum) {
            LOG.warn("connection refused, there are too many maximum={}", maximum);
            connection.close();
            return;
        }
        open.add(connection);
        Thread thread = new Thread(
                () -> {
                    try {
                        server.accept(connection);
                    } finally {
                        open.remove(connection);
                        connection.close();
                    }
                },
                "connection-" + connection.number());
        thread.setDaemon(true);
        thread.start();
    }

    int size() {
        return open.size();
    }

    /** Takes no more calls, lets the replies of those at hand go out, and ends what is left. */
    void shutDown(long graceMillis) throws InterruptedException {
        open.forEach(ChannelSocket::shutdownReceiving);
        long deadline = System.nanoTime() + graceMillis * 1_000_000;
        while (!open.isEmpty() && System.nanoTime() < deadline) {
            Thread.sleep(5);
        }
        open.forEach(ChannelSocket::shutdown);
    }
}
