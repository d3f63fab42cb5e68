package pve.oci.service;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.VarlinkException;

/**
 * Limits how many jobs run at once. Others wait; when too many wait, new jobs are refused.
 *
 * <p>Jobs for one archive cannot hold up those for others, however many there are. They get at most three quarters of
 * the slots, and the next slot goes to a waiting job whose archive has the fewest running jobs. Among equals, the first
 * to arrive is next.
 */
final class JobSlots {
    private static final long POLL_NANOS = 20_000_000;

    /** Called now and then while a job waits; throws when it must wait no longer. */
    interface Waiting {
        void checkWanted() throws VarlinkException;
    }

    /** A job's place: a slot, or a place in the queue. */
    final class Turn {
        private final Object archive;
        private final Thread thread = Thread.currentThread();

        private Turn(Object archive) {
            this.archive = archive;
        }

        /** Gives the slot back; the next job may have it. */
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
                LockSupport.parkNanos(POLL_NANOS);
                waiting.checkWanted();
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
