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

/** Tells systemd how the daemon is, sd_notify(3). Does nothing when nobody wants to know. */
final class SystemdNotifier {
    private static final Logger LOG = LoggerFactory.getLogger(SystemdNotifier.class);

    private final @Nullable String socketPath;
    private final long watchdogUSec;
    private long aliveNanos = System.nanoTime();

    SystemdNotifier(@Nullable String notifySocket, @Nullable String watchdogUSec, @Nullable String watchdogPid) {
        this.socketPath = notifySocket;
        this.watchdogUSec = isForUs(watchdogPid) ? parse(watchdogUSec) : 0;
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

    /** Tells that we are alive, when it is time to. */
    void tellAlive() {
        long interval = watchdogMillis();
        if (interval > 0 && System.nanoTime() - aliveNanos >= interval * 1_000_000) {
            aliveNanos = System.nanoTime();
            tell("WATCHDOG=1");
        }
    }

    /** How often systemd wants to hear of us: half of its patience, as sd_watchdog_enabled(3) asks; -1: never. */
    long watchdogMillis() {
        return socketPath == null || watchdogUSec <= 0 ? -1 : Math.max(1, watchdogUSec / 2000);
    }
}
