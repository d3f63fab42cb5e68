package pve.oci.linux;

import java.util.List;

/** Waits for threads that have been told to end. */
public final class Threads {
    private Threads() {}

    /** Returns when all have ended. An interrupt of the caller does not end the waiting, but is still set then. */
    public static void joinAll(List<Thread> threads) {
        boolean isInterrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    isInterrupted = true;
                }
            }
        }
        if (isInterrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
