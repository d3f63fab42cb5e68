package pve.oci.varlink;

import java.util.concurrent.TimeUnit;

/** Lets one line into the log every ten seconds. Strangers must not fill it: then journald drops other lines too. */
public final class LogThrottle {
    private static final long INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(10);

    private long lastNanos = System.nanoTime() - INTERVAL_NANOS;

    /** Whether a line may be written now; if so, it counts as written. */
    public synchronized boolean permits() {
        long now = System.nanoTime();
        if (now - lastNanos < INTERVAL_NANOS) {
            return false;
        }
        lastNanos = now;
        return true;
    }
}
