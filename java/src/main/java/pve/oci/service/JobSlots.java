package pve.oci.service;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.VarlinkException;

/**
 * Bounds how many jobs run at once. The rest waits; beyond a bound, new jobs are refused.
 *
 * <p>However many jobs there are for one archive, another one's is not held up by them: the first archive's have three
 * quarters of the slots at most, and of those that wait the next is one whose archive has the fewest jobs running. Jobs
 * that are equal in this go in the order of arrival.
 */
final class JobSlots {
    private static final long LOOK_NANOS = 20_000_000;

    /** What a waiting job checks now and then. */
    interface Waiting {
        void look() throws VarlinkException;
    }

    /** A place taken, or waited for. */
    final class Turn {
        private final Object archive;
        private final Thread thread = Thread.currentThread();

        private Turn(Object archive) {
            this.archive = archive;
        }

        /** Gives it to the next. */
        void end() {
            synchronized (JobSlots.this) {
                running--;
                runningOf.merge(archive, -1, (one, other) -> one + other == 0 ? null : one + other);
                wakeNext();
            }
        }
    }

    private int maximumRunning;
    private int maximumQueued;
    private final List<Turn> queue = new ArrayList<>();
    private final Map<Object, Integer> runningOf = new HashMap<>();
    private int running;

    JobSlots(int maximumRunning, int maximumQueued) {
        this.maximumRunning = maximumRunning;
        this.maximumQueued = maximumQueued;
    }

    synchronized void setMaximum(int running, int queued) {
        maximumRunning = running;
        maximumQueued = queued;
        wakeNext();
    }

    /**
     * Returns when the job may run.
     *
     * @param archive equal for jobs of the same archive
     */
    Turn enter(Object archive, Waiting waiting) throws VarlinkException {
        Turn turn = new Turn(archive);
        synchronized (this) {
            queue.add(turn);
            if (next() != turn && queue.size() > maximumQueued) {
                queue.remove(turn);
                throw OciErrors.tooManyJobs(maximumQueued);
            }
        }
        try {
            while (!isTurnOf(turn)) {
                LockSupport.parkNanos(LOOK_NANOS);
                waiting.look();
            }
            return turn;
        } finally {
            synchronized (this) {
                queue.remove(turn);
                wakeNext();
            }
        }
    }

    private synchronized boolean isTurnOf(Turn turn) {
        if (next() != turn) {
            return false;
        }
        running++;
        runningOf.merge(turn.archive, 1, Integer::sum);
        return true;
    }

    /** The next waiting job that may run now; null if there is none. */
    private @Nullable Turn next() {
        if (running >= maximumRunning) {
            return null;
        }
        Turn next = null;
        int fewest = maximumRunning - maximumRunning / 4;
        for (Turn turn : queue) {
            int count = runningOf.getOrDefault(turn.archive, 0);
            if (count < fewest) {
                next = turn;
                fewest = count;
            }
        }
        return next;
    }

    private void wakeNext() {
        Turn next = next();
        if (next != null) {
            LockSupport.unpark(next.thread);
        }
    }

    synchronized int running() {
        return running;
    }

    synchronized int queued() {
        return queue.size();
    }
}
