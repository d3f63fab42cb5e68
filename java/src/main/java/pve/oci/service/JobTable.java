package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.PeerCredentials;
import pve.oci.varlink.VarlinkException;

/** The jobs that run or wait, in the order of their start. */
final class JobTable {
    private final Map<String, Job> jobs = new LinkedHashMap<>();
    private long nextId = 1;
    private long version;
    private boolean shuttingDown;

    /** Enters a new job. */
    synchronized Job add(String method, JobParameters parameters, PeerCredentials peer) throws VarlinkException {
        throwIfShuttingDown();
        Job job = new Job(Long.toString(nextId++), method, parameters, peer, this::changed);
        jobs.put(job.id(), job);
        changed();
        return job;
    }

    synchronized void remove(Job job) {
        jobs.remove(job.id());
        changed();
        notifyAll();
    }

    private synchronized void changed() {
        version++;
    }

    /** A number that changes with every change of a job. */
    synchronized long version() {
        return version;
    }

    synchronized int size() {
        return jobs.size();
    }

    /** The jobs that the peer may see: those of its own user; root sees all. */
    synchronized List<Job> visibleTo(PeerCredentials peer) {
        List<Job> visible = new ArrayList<>(jobs.values());
        visible.removeIf(job -> peer.uid() != 0 && job.peer().uid() != peer.uid());
        return visible;
    }

    /** The job, if that peer may see it. */
    @Nullable
    Job find(String id, PeerCredentials peer) {
        return visibleTo(peer).stream()
                .filter(job -> job.id().equals(id))
                .findFirst()
                .orElse(null);
    }

    synchronized void throwIfShuttingDown() throws VarlinkException {
        if (shuttingDown) {
            throw OciErrors.shuttingDown();
        }
    }

    /** Takes no more jobs, ends those there are, and waits until they have ended. */
    void shutDown(long timeoutMillis) throws InterruptedException {
        List<Job> ending;
        synchronized (this) {
            shuttingDown = true;
            ending = new ArrayList<>(jobs.values());
        }
        ending.forEach(job -> job.cancel(OciErrors.shuttingDown()));
        long deadline = System.nanoTime() + timeoutMillis * 1_000_000;
        synchronized (this) {
            while (!jobs.isEmpty() && System.nanoTime() < deadline) {
                wait(Math.max(1, (deadline - System.nanoTime()) / 1_000_000));
            }
        }
    }
}
