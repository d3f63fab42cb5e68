package pve.oci.layer;

/** Limits the bandwidth by sleeping. */
final class Throttle {
    private final long bytesPerSecond;
    private final long start = System.nanoTime();
    private long spent;

    /** @param bytesPerSecond 0: no limit */
    Throttle(long bytesPerSecond) {
        this.bytesPerSecond = bytesPerSecond;
    }

    /** Counts the bytes, and returns when that many may have been read since the start. */
    synchronized void spend(long bytes) throws InterruptedException {
        if (bytesPerSecond <= 0) {
            return;
        }
        spent += bytes;
        double due = spent / (double) bytesPerSecond;
        long ahead = (long) (due * 1000) - (System.nanoTime() - start) / 1_000_000;
        if (ahead > 0) {
            Thread.sleep(ahead);
        }
    }
}
