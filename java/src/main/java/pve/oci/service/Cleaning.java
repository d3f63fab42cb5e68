package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * Cleans up after a failed job: a fresh worker, which has seen nothing of the image, removes what the job's worker has
 * made. What the job's worker says about that is not believed.
 *
 * <p>A client that is still there gets a sign of life every two seconds. If the client is gone, the cleaning ends:
 * somebody may be about to unmount the root directory, and nothing may hold it open. Cancelling the job once more also
 * ends the cleaning.
 */
final class Cleaning {
    private static final long SIGN_OF_LIFE_MILLIS = 2_000;
    private static final long POLL_MILLIS = 100;

    /** More than there are spare workers by default, because all of them may have been killed at the same time. */
    private static final int MAXIMUM_ATTEMPTS = 6;

    private static final IdlType.Struct NOTHING = new IdlType.Struct(Map.of());
    private static final Logger LOG = LoggerFactory.getLogger(Cleaning.class);

    private final JobContext context;
    private final ServerCall call;
    private final Job job;
    private final ImageMethod method;
    private final IdMaps maps;
    private long saidNanos = System.nanoTime();

    Cleaning(JobContext context, ServerCall call, Job job, ImageMethod method, IdMaps maps) {
        this.context = context;
        this.call = call;
        this.job = job;
        this.method = method;
        this.maps = maps;
    }

    /** Cleans up. A failure is logged. Another worker goes on where the first one was killed, by the kernel, say. */
    void run(RootDirectory root) {
        if (method == ImageMethod.COMPARE || isUnread()) {
            return;
        }
        job.beginCleaning();
        try {
            int attempt = 1;
            while (!tryToClean(root, attempt)) {
                attempt++;
            }
        } catch (VarlinkException e) {
            LOG.warn("root directory not cleaned job={} reason=\"{}\"", job.id(), message(e));
        } finally {
            job.unassign();
        }
    }

    /** Lets one worker clean up; false if it died and another one is to go on. */
    private boolean tryToClean(RootDirectory root, int attempt) throws VarlinkException {
        try {
            clean(root);
            return true;
        } catch (VarlinkException e) {
            if (!hasDied(e) || attempt == MAXIMUM_ATTEMPTS || job.isCleaningStopped() || isUnread()) {
                throw e;
            }
            LOG.info("worker that cleans has died job={} reason=\"{}\"", job.id(), message(e));
            return false;
        }
    }

    private static boolean hasDied(VarlinkException e) {
        return e.parameters().get("signal") != null || e.parameters().get("exitStatus") != null;
    }

    private static @Nullable Object message(VarlinkException e) {
        return e.parameters().get("message");
    }

    private void clean(RootDirectory root) throws VarlinkException {
        try (Worker worker = await(context.workers().take(maps))) {
            job.assignCleaner(worker);
            WorkerConversation conversation =
                    new WorkerConversation(context.idl(), context.settings().cleanMillis());
            if (method.isUpdate()) {
                IdlType.Struct reply =
                        context.idl().method(ImageMethod.APPLY.method()).output();
                conversation.run(worker, WorkerRequest.ofAbandon(root), reply, new CleaningListener());
            } else {
                conversation.run(worker, WorkerRequest.ofClean(root), NOTHING, new CleaningListener());
            }
        }
    }

    private Worker await(CompletableFuture<Worker> starting) throws VarlinkException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WorkerConversation.START_MILLIS);
        return AwaitedWorker.await(starting, () -> {
            if (job.isCleaningStopped()) {
                throw OciErrors.workerFailed("the job was cancelled once more");
            }
            if (isUnread() || System.nanoTime() >= deadline) {
                throw OciErrors.workerFailed("the client is gone, or no worker was ready in time");
            }
            giveSignOfLife();
        });
    }

    /** Sends the last progress again, because a client waits only as long as it hears something. */
    private void giveSignOfLife() {
        boolean isDue = System.nanoTime() - saidNanos >= TimeUnit.MILLISECONDS.toNanos(SIGN_OF_LIFE_MILLIS);
        if (isDue && call.wantsMore() && method.hasProgress()) {
            saidNanos = System.nanoTime();
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            reply.put("progress", job.progress());
            try {
                call.offerProgress(reply, 0);
            } catch (IOException e) {
                LOG.debug("no sign of life job={} reason=\"{}\"", job.id(), e.getMessage());
            }
        }
    }

    private boolean isUnread() {
        try {
            return call.isUnread();
        } catch (IOException e) {
            return true;
        }
    }

    /** A client that has only ended its sending waits for the cleaning; one that is gone does not. */
    private final class CleaningListener implements WorkerConversation.Listener {
        @Override
        public ServerCall.Readiness await(int fd, long timeoutMillis) throws IOException {
            long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMillis);
            while (!isUnread()) {
                giveSignOfLife();
                long left = Math.max(0, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime()));
                ServerCall.Readiness readiness =
                        WorkerConversation.Listener.super.await(fd, Math.min(left, POLL_MILLIS));
                if (readiness == ServerCall.Readiness.READY || left == 0) {
                    return readiness;
                }
            }
            return ServerCall.Readiness.PEER_GONE;
        }
    }
}
