package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.varlink.ServerCall;

/** Passes a worker's progress on to the job table and, at most ten times a second, to the client. */
final class JobListener implements WorkerConversation.Listener {
    private static final long PROGRESS_INTERVAL_NANOS = 100_000_000;
    private static final int MAXIMUM_LOG_LINES = 100;
    private static final Logger LOG = LoggerFactory.getLogger(JobListener.class);

    private final ServerCall call;
    private final Job job;
    private final boolean passesProgress;
    private @Nullable List<@Nullable Object> existing;
    private @Nullable Map<String, @Nullable Object> unsent;
    private long sentNanos = System.nanoTime() - PROGRESS_INTERVAL_NANOS;
    private int logLines;

    JobListener(ServerCall call, Job job, boolean passesProgress) {
        this.call = call;
        this.job = job;
        this.passesProgress = passesProgress;
    }

    @Override
    public ServerCall.Readiness await(int fd, long timeoutMillis) throws IOException {
        long timeout = unsent == null ? timeoutMillis : Math.min(timeoutMillis, millisUntilNextProgress());
        ServerCall.Readiness readiness = call.await(fd, timeout);
        try {
            sendDueProgress();
        } catch (IOException e) {
            return ServerCall.Readiness.PEER_GONE;
        }
        return readiness;
    }

    @Override
    public void peerGone() {
        job.cancel(OciErrors.cancelled(job.id(), "the client closed its connection"));
    }

    @Override
    public void progress(Map<String, @Nullable Object> progress) throws IOException {
        job.setProgress(progress);
        if (passesProgress) {
            unsent = progress;
            sendDueProgress();
        }
    }

    private long millisUntilNextProgress() {
        return Math.max(0, (PROGRESS_INTERVAL_NANOS - (System.nanoTime() - sentNanos)) / 1_000_000 + 1);
    }

    private void sendDueProgress() throws IOException {
        Map<String, @Nullable Object> progress = unsent;
        if (progress != null && System.nanoTime() - sentNanos >= PROGRESS_INTERVAL_NANOS) {
            unsent = null;
            sentNanos = System.nanoTime();
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            reply.put("progress", progress);
            call.offerProgress(reply);
        }
    }

    @Override
    public void existing(List<@Nullable Object> directories) {
        // only the first word counts: what comes later may be made up to make us keep or remove something else
        if (existing == null) {
            existing = directories;
        }
    }

    /** Null until the worker has told, and that it does before it writes. */
    @Nullable
    List<@Nullable Object> existing() {
        return existing;
    }

    @Override
    public void log(String level, String text) {
        if (logLines++ < MAXIMUM_LOG_LINES) {
            if (level.equals("warn") || level.equals("error")) {
                LOG.warn("worker: {} job={}", text, job.id());
            } else {
                LOG.info("worker: {} job={}", text, job.id());
            }
        }
    }
}
