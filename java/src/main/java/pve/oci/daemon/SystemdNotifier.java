package pve.oci.daemon;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXDatagramChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Tells systemd the state of the daemon, sd_notify(3). Does nothing if there is no NOTIFY_SOCKET. */
final class SystemdNotifier {
    private static final Logger LOG = LoggerFactory.getLogger(SystemdNotifier.class);

    private final @Nullable String socketPath;
    private final long watchdogUSec;
    private long aliveNanos = System.nanoTime();

    /** Systemd watches a service from its start on. */
    private boolean isWatched = true;

    SystemdNotifier(@Nullable String notifySocket, @Nullable String watchdogUSec, @Nullable String watchdogPid) {
        this.socketPath = notifySocket;
        this.watchdogUSec = notifySocket != null && isForUs(watchdogPid) ? parse(watchdogUSec) : 0;
    }

    static SystemdNotifier ofEnvironment() {
        return new SystemdNotifier(
                System.getenv("NOTIFY_SOCKET"), System.getenv("WATCHDOG_USEC"), System.getenv("WATCHDOG_PID"));
    }

    private static boolean isForUs(@Nullable String pid) {
        return pid == null || pid.equals(Long.toString(ProcessHandle.current().pid()));
    }

    private static long parse(@Nullable String number) {
        try {
            return number == null ? 0 : Long.parseLong(number);
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    /** Sends lines such as READY=1. */
    void tell(String state) {
        if (socketPath == null) {
            return;
        }
        byte[] message = state.getBytes(StandardCharsets.UTF_8);
        try (AFUNIXDatagramChannel socket = AFUNIXDatagramChannel.open()) {
            socket.connect(address(socketPath));
            socket.write(ByteBuffer.wrap(message));
        } catch (IOException e) {
            LOG.warn("systemd was not told: {} state={}", e.getMessage(), state);
        }
    }

    private static AFUNIXSocketAddress address(String path) throws IOException {
        // sd_notify(3): a name that starts with '@' is an abstract one
        return path.startsWith("@")
                ? AFUNIXSocketAddress.inAbstractNamespace(path.substring(1))
                : AFUNIXSocketAddress.of(Path.of(path));
    }

    /**
     * Tells systemd that the daemon is alive, when it is time to. While there are no clients, systemd is told not to
     * expect this: a daemon that waits must not have to wake up for it.
     */
    void tellAlive(boolean hasClients) {
        if (watchdogUSec <= 0) {
            return;
        }
        long now = System.nanoTime();
        if (hasClients != isWatched) {
            isWatched = hasClients;
            aliveNanos = now;
            // WATCHDOG=1 as well: systemd counts from the last one, which may be long ago
            tell(hasClients ? "WATCHDOG=1\nWATCHDOG_USEC=" + watchdogUSec : "WATCHDOG_USEC=0");
        } else if (hasClients && now - aliveNanos >= watchdogMillis() * 1_000_000) {
            aliveNanos = now;
            tell("WATCHDOG=1");
        }
    }

    /**
     * How often to send a sign of life now: after half of systemd's timeout, as sd_watchdog_enabled(3) recommends; -1:
     * never.
     */
    long watchdogMillis() {
        return isWatched && watchdogUSec > 0 ? Math.max(1, watchdogUSec / 2000) : -1;
    }
}
