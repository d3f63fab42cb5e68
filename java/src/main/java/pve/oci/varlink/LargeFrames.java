package pve.oci.varlink;

import java.util.concurrent.TimeUnit;

/**
 * Counts the large frames that the process holds, on their way in or out. Another one is received only when there is
 * none: a frame and the objects made of it may take three quarters of the heap.
 */
final class LargeFrames {
    /** A frame of this many bytes is large: the objects made of it may take twenty times as much. */
    static final int SIZE = 65 << 10;

    private static final long WAIT_MILLIS = 200;
    private static int held;

    private LargeFrames() {}

    /** Waits a moment for the others to be gone; false when they are not. */
    static synchronized boolean begin() {
        try {
            if (held > 0) {
                TimeUnit.MILLISECONDS.timedWait(LargeFrames.class, WAIT_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (held > 0) {
            return false;
        }
        held++;
        return true;
    }

    /** Counts one that was received and is being passed on. */
    static synchronized void add() {
        held++;
    }

    static synchronized void end() {
        held--;
        LargeFrames.class.notifyAll();
    }
}
