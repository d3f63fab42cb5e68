package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.varlink.ServerCall;

/** Passes a worker's progress on to the job table and to the client, and its messages to the log. */
final class JobListener implements WorkerConversation.Listener {
    private static final long PROGRESS_INTERVAL_MILLIS = 100;
    private static final int MAXIMUM_LOG_LINES = 100;
    private static final Logger LOG = LoggerFactory.getLogger(JobListener.class);

    private final ServerCall call;
    private final Job job;
    private final boolean passesProgress;
    private int logLines;

    JobListener(ServerCall call, Job job, boolean passesProgress) {
        this.call = call;
        this.job = job;
        this.passesProgress = passesProgress;
    }

    @Override
    public ServerCall.Readiness await(int fd, long timeoutMillis) throws IOException {
        try {
            return call.await(fd, timeoutMillis);
        } catch (IOException e) {
            return ServerCall.Readiness.PEER_GONE;
        }
    }

    @Override
    public void peerGone() {
        job.cancel(OciErrors.cancelled(job.id(), "the client closed its connection"));
    }

    @Override
    public void progress(Map<String, @Nullable Object> progress) {
        job.setProgress(progress);
        if (passesProgress) {
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            reply.put("progress", progress);
            try {
                call.offerProgress(reply, PROGRESS_INTERVAL_MILLIS);
            } catch (IOException e) {
                peerGone();
            }
        }
    }

    @Override
    public void config(byte[] frame) {
        if (passesProgress) {
            try {
                call.offerContinuing(frame);
            } catch (IOException e) {
                peerGone();
            }
        }
    }

    @Override
    public void log(boolean isProblem, String text) {
        if (logLines++ < MAXIMUM_LOG_LINES) {
            if (isProblem) {
                LOG.warn("worker: {} job={}", text, job.id());
            } else {
                LOG.info("worker: {} job={}", text, job.id());
            }
        }
    }
}
