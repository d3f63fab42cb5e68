package pve.oci.varlink;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Gives turns to those who share it, some time apart. However many they are and whatever they send, they cannot keep
 * this process busy.
 */
final class Pace {
    private static final long INTERVAL_NANOS = TimeUnit.MICROSECONDS.toNanos(500);

    private long nextNanos = System.nanoTime();

    /** Waits for a turn. */
    void await() {
        long now = System.nanoTime();
        LockSupport.parkNanos(takeTurn(now) - now);
    }

    private synchronized long takeTurn(long now) {
        long turn = Math.max(now, nextNanos);
        nextNanos = turn + INTERVAL_NANOS;
        return turn;
    }
}
