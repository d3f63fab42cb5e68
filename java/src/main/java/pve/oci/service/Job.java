package pve.oci.service;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.PeerCredentials;
import pve.oci.varlink.VarlinkException;

/** A call that works on an image or a root directory, as other clients see it: they may list it and cancel it. */
final class Job {
    private final String id;
    private final String method;
    private final @Nullable String archivePath;
    private @Nullable String rootDirectory;
    private final PeerCredentials peer;
    private final long startedUSec = System.currentTimeMillis() * 1000;
    private final Runnable changed;
    private Map<String, @Nullable Object> progress = new LinkedHashMap<>();
    private @Nullable Map<?, ?> result;
    private @Nullable VarlinkException cancellation;
    private @Nullable Worker worker;
    private boolean isCleaning;
    private boolean isCleaningStopped;

    /** @param changed run whenever the job looks different */
    Job(String id, String method, JobParameters parameters, PeerCredentials peer, Runnable changed) {
        this.id = id;
        this.method = method;
        this.archivePath = parameters.archivePath();
        this.rootDirectory = parameters.rootDirectory();
        this.peer = peer;
        this.changed = changed;
        progress.put("phase", "queued");
        for (String counter : new String[] {"bytesRead", "bytesTotal", "entriesWritten", "bytesWritten"}) {
            progress.put(counter, 0L);
        }
    }

    String id() {
        return id;
    }

    String method() {
        return method;
    }

    PeerCredentials peer() {
        return peer;
    }

    /** Its name, which a client that passes a descriptor does not say. */
    synchronized void setRootDirectory(String name) {
        rootDirectory = name;
    }

    synchronized Map<String, @Nullable Object> progress() {
        return progress;
    }

    void setProgress(Map<String, @Nullable Object> now) {
        synchronized (this) {
            progress = now;
        }
        changed.run();
    }

    /** Takes the final numbers from the last reply: the last progress may be a moment older. */
    synchronized void setResult(Map<String, @Nullable Object> reply) {
        result = reply.get("result") instanceof Map<?, ?> map ? map : progress;
    }

    /** A counter from the result or, before there is one, from the progress; null if the job has no such counter. */
    synchronized @Nullable Object counter(String name) {
        Object value = result != null ? result.get(name) : progress.get(name);
        return value instanceof Number number && number.longValue() > 0 ? value : null;
    }

    /** As the interface's type Job. */
    synchronized Map<String, @Nullable Object> describe() {
        Map<String, @Nullable Object> job = new LinkedHashMap<>();
        job.put("id", id);
        job.put("method", method);
        job.put("archivePath", archivePath);
        job.put("rootDirectory", rootDirectory);
        job.put("peerUid", peer.uid());
        job.put("peerPid", peer.pid());
        job.put("startedUSec", startedUSec);
        job.put("progress", progress);
        return job;
    }

    /** Ends the job with that error and kills its worker at once; does nothing if the job is ending already. */
    synchronized void cancel(VarlinkException reason) {
        if (cancellation == null) {
            cancellation = reason;
            if (!isCleaning) {
                killWorker();
            }
        }
    }

    /** The same for CancelJob. A second call also ends the cleaning up. */
    synchronized void cancelOrStopCleaning(VarlinkException reason) {
        if (isCleaning) {
            isCleaningStopped = true;
            killWorker();
        } else {
            cancel(reason);
        }
    }

    private void killWorker() {
        if (worker != null) {
            worker.process().kill();
        }
    }

    synchronized @Nullable VarlinkException cancellation() {
        return cancellation;
    }

    synchronized void throwIfCancelled() throws VarlinkException {
        if (cancellation != null) {
            throw cancellation;
        }
    }

    /** From now on the worker dies with the job. */
    synchronized void assign(Worker assigned) throws VarlinkException {
        throwIfCancelled();
        worker = assigned;
    }

    /** The job has failed. From now on it waits for a worker that cleans up. */
    synchronized void beginCleaning() {
        isCleaning = true;
    }

    /** From now on this worker cleans up. It dies when the job is cancelled once more. */
    synchronized void assignCleaner(Worker assigned) {
        worker = assigned;
        if (isCleaningStopped) {
            killWorker();
        }
    }

    synchronized boolean isCleaningStopped() {
        return isCleaningStopped;
    }

    synchronized void unassign() {
        worker = null;
    }
}
