package pve.oci.service;

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.text.Text;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * One job from its start to the moment before its reply: opens what it works on, waits for its turn and its worker,
 * hears the worker out, and leaves nothing behind: no process, no descriptor, after a failure no file. A worker that
 * has done its job has closed everything before it said so; it is killed before the reply, and {@link #close} waits
 * until it is gone. Any other worker is gone before.
 */
final class ImageJob implements AutoCloseable {
    private static final long POLL_MILLIS = 10;
    private static final IdlType.Struct NOTHING = new IdlType.Struct(Map.of());
    private static final Logger LOG = LoggerFactory.getLogger(ImageJob.class);

    private final JobContext context;
    private final ServerCall call;
    private final Job job;
    private final ImageMethod method;
    private final JobParameters parameters;
    private final IdMaps maps;
    private final JobListener listener;

    private boolean hasTakenWorker;

    /** The worker that finished the job: killed, but not yet waited for. */
    private @Nullable Worker finished;

    ImageJob(JobContext context, ServerCall call, Job job, ImageMethod method, JobParameters parameters, IdMaps maps) {
        this.context = context;
        this.call = call;
        this.job = job;
        this.method = method;
        this.parameters = parameters;
        this.maps = maps;
        this.listener = new JobListener(call, job, call.wantsMore() && method.hasProgress());
    }

    /** Runs the job and returns its last reply. When it returns, another job may have the slot. */
    WorkerReplies.Reply run() throws VarlinkException, IOException {
        try (ArchiveFile archive = method.hasArchive() ? ArchiveFile.open(call, parameters) : null;
                RootDirectory root = method.hasRoot()
                        ? RootDirectory.open(call, parameters, job.id(), context, method.isUpdate())
                        : null) {
            if (call.wantsMore() && method.hasProgress()) {
                call.replyContinues(Map.of("jobId", job.id()));
            }
            context.slots().enter(this::checkCancelled);
            try {
                return root == null ? converse(archive, null) : extract(archive, root);
            } finally {
                context.slots().leave();
            }
        } finally {
            call.closeDescriptors();
        }
    }

    /** Whether a worker was started for these maps: then one more may be wanted soon. */
    boolean hasTakenWorker() {
        return hasTakenWorker;
    }

    /** On every way out that is not success the root directory is given back as it was. */
    private WorkerReplies.Reply extract(@Nullable ArchiveFile archive, RootDirectory root) throws VarlinkException {
        boolean isDone = false;
        try {
            root.giveTo(maps);
            WorkerReplies.Reply reply = converse(archive, root);
            isDone = true;
            return reply;
        } finally {
            if (!isDone) {
                root.restore();
            }
        }
    }

    private WorkerReplies.Reply converse(@Nullable ArchiveFile archive, @Nullable RootDirectory root)
            throws VarlinkException {
        Worker worker = await(context.workers().take(maps));
        boolean hasRoot = false;
        try {
            job.assign(worker);
            WorkerRequest request = WorkerRequest.ofJob(method, archive, root, parameters, maps, context.settings());
            hasRoot = root != null;
            WorkerReplies.Reply reply = new WorkerConversation(
                            context.idl(), context.settings().hangMillis())
                    .run(worker, request, context.idl().method(method.method()).output(), listener);
            requireFields(reply);
            worker.process().kill();
            finished = worker;
            return reply;
        } catch (VarlinkException e) {
            VarlinkException reason = job.cancellation();
            throw reason != null ? reason : e;
        } finally {
            job.unassign();
            if (finished == null) {
                worker.close();
                if (root != null && hasRoot) {
                    clean(root);
                }
            }
        }
    }

    private void requireFields(WorkerReplies.Reply reply) throws VarlinkException {
        for (String field : method.requiredInReply()) {
            if (reply.parameters().get(field) == null) {
                throw OciErrors.workerFailed("worker sent an invalid reply: no " + field);
            }
        }
    }

    /** Waits until the worker that finished the job is gone. */
    @Override
    public void close() {
        if (finished != null) {
            finished.close();
        }
    }

    /** While the job waits, its client may go, and others may cancel it. */
    private void checkCancelled() throws VarlinkException {
        try {
            if (call.isPeerGone()) {
                listener.peerGone();
            }
        } catch (IOException e) {
            listener.peerGone();
        }
        job.throwIfCancelled();
    }

    private Worker await(CompletableFuture<Worker> starting) throws VarlinkException {
        hasTakenWorker = true;
        boolean isTaken = false;
        try {
            while (true) {
                try {
                    Worker worker = starting.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
                    isTaken = true;
                    return worker;
                } catch (TimeoutException e) {
                    checkCancelled();
                }
            }
        } catch (ExecutionException e) {
            throw OciErrors.workerFailed("worker cannot be started: " + Text.clean(describe(e)));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw OciErrors.shuttingDown();
        } finally {
            if (!isTaken) {
                starting.cancel(false);
            }
        }
    }

    private static String describe(ExecutionException e) {
        return String.valueOf(
                e.getCause() == null ? e.getMessage() : e.getCause().getMessage());
    }

    /**
     * A fresh worker, which has seen nothing of the image, removes what the job's worker has made: that one's word that
     * it has done so counts for nothing. Unless the client is gone altogether: then somebody is about to unmount the
     * root directory, and nothing may hold it.
     */
    private void clean(RootDirectory root) {
        if (isUnread() || method == ImageMethod.COMPARE) {
            return;
        }
        try (Worker worker = awaitCleaner(context.workers().take(maps))) {
            job.assignCleaner(worker);
            new WorkerConversation(context.idl(), context.settings().cleanMillis())
                    .run(
                            worker,
                            method.isUpdate() ? WorkerRequest.ofAbandon(root) : WorkerRequest.ofClean(root),
                            method.isUpdate()
                                    ? context.idl()
                                            .method(ImageMethod.APPLY.method())
                                            .output()
                                    : NOTHING,
                            new CleaningListener());
        } catch (VarlinkException e) {
            LOG.warn(
                    "root directory not cleaned job={} reason=\"{}\"",
                    job.id(),
                    e.parameters().get("message"));
        } finally {
            job.unassign();
        }
    }

    private Worker awaitCleaner(CompletableFuture<Worker> starting) throws VarlinkException {
        boolean isTaken = false;
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WorkerConversation.START_MILLIS);
        try {
            while (!isUnread() && System.nanoTime() < deadline) {
                try {
                    Worker worker = starting.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
                    isTaken = true;
                    return worker;
                } catch (TimeoutException e) {
                    // the client is looked for, and it is waited for again
                }
            }
            throw OciErrors.workerFailed("the client is gone, or no worker was ready in time");
        } catch (ExecutionException e) {
            throw OciErrors.workerFailed("worker cannot be started: " + Text.clean(describe(e)));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw OciErrors.shuttingDown();
        } finally {
            if (!isTaken) {
                starting.cancel(false);
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
                long left = Math.max(0, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime()));
                ServerCall.Readiness readiness =
                        WorkerConversation.Listener.super.await(fd, Math.min(left, 10 * POLL_MILLIS));
                if (readiness == ServerCall.Readiness.READY || left == 0) {
                    return readiness;
                }
            }
            return ServerCall.Readiness.PEER_GONE;
        }
    }
}
