package pve.oci.service;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.LockSupport;
import pve.oci.varlink.VarlinkException;

/** Bounds how many jobs run at once. The rest waits in the order of arrival; beyond a bound, new jobs are refused. */
final class JobSlots {
    private static final long LOOK_NANOS = 20_000_000;

    /** What a job that waits has to look at now and then. */
    interface Waiting {
        void look() throws VarlinkException;
    }

    private int maximumRunning;
    private int maximumQueued;
    private final Deque<Thread> queue = new ArrayDeque<>();
    private int running;

    JobSlots(int maximumRunning, int maximumQueued) {
        this.maximumRunning = maximumRunning;
        this.maximumQueued = maximumQueued;
    }

    synchronized void setMaximum(int running, int queued) {
        maximumRunning = running;
        maximumQueued = queued;
        LockSupport.unpark(queue.peek());
    }

    /** Returns when the job may run. */
    void enter(Waiting waiting) throws VarlinkException {
        Thread self = Thread.currentThread();
        synchronized (this) {
            boolean mustWait = running >= maximumRunning || !queue.isEmpty();
            if (mustWait && queue.size() >= maximumQueued) {
                throw OciErrors.tooManyJobs(maximumQueued);
            }
            queue.add(self);
        }
        try {
            while (!isTurnOf(self)) {
                LockSupport.parkNanos(LOOK_NANOS);
                waiting.look();
            }
        } finally {
            synchronized (this) {
                queue.remove(self);
                LockSupport.unpark(queue.peek());
            }
        }
    }

    private synchronized boolean isTurnOf(Thread thread) {
        if (!thread.equals(queue.peek()) || running >= maximumRunning) {
            return false;
        }
        running++;
        return true;
    }

    synchronized void leave() {
        running--;
        LockSupport.unpark(queue.peek());
    }

    synchronized int running() {
        return running;
    }

    synchronized int queued() {
        return queue.size();
    }
}
