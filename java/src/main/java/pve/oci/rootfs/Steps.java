package pve.oci.rootfs;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Counts the work that an image causes without writing anything: components of paths that are walked, links that are
 * followed, names that are listed for whiteouts. A small image could otherwise keep a job busy for hours. One thread
 * counts; any thread may read.
 */
public final class Steps {
    private final AtomicLong done;
    private final long maximum;
    private long left;

    /** @param maximum how many there may be */
    public Steps(long maximum) {
        this(maximum, new AtomicLong());
    }

    private Steps(long maximum, AtomicLong done) {
        this.maximum = maximum;
        this.done = done;
        left = maximum;
    }

    /** Still counts, but no longer throws: taking back what a job has made must not fail because of the limit. */
    public Steps withoutLimit() {
        return new Steps(Long.MAX_VALUE, done);
    }

    /** Starts from zero for a second attempt of the job. */
    void begin() {
        left = maximum;
    }

    /** The job has taken more steps than it may. */
    public static final class ExceededException extends IOException {
        private static final long serialVersionUID = 1;

        private ExceededException() {
            super("walking paths and listing directories takes too many steps");
        }
    }

    /** Counts this many steps. */
    public void take(long count) throws ExceededException {
        done.lazySet(done.get() + count);
        left -= count;
        if (left < 0) {
            throw new ExceededException();
        }
    }

    /** The number of steps so far: while it grows, the job is alive. */
    public long done() {
        return done.get();
    }
}
