package pve.oci.service;

import java.io.IOException;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * One job from its start to the moment before its reply. It opens archive and root directory, waits for its turn and
 * its worker, and reads the worker's messages. It leaves no descriptor behind, and after a failure no file. A worker
 * that has done its job has closed everything before it said so. It is killed before the client gets the reply, and
 * {@link #close} waits until it is gone; or it is stopped, for the next step of the same update ({@link KeptWorker}).
 * After a failure the worker is gone before {@link #run} ends.
 */
final class ImageJob implements AutoCloseable {

    private final JobContext context;
    private final ServerCall call;
    private final Job job;
    private final ImageMethod method;
    private final JobParameters parameters;
    private final IdMaps maps;
    private final JobListener listener;

    private boolean hasUsedUpWorker;

    /** The worker of the step before, until this job takes it. */
    private @Nullable KeptWorker kept;

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
        kept = (KeptWorker) call.takeKept();
        try (ArchiveFile archive = method.hasArchive() ? ArchiveFile.open(call, parameters) : null;
                RootDirectory root =
                        method.hasRoot() ? RootDirectory.open(call, parameters, job.id(), context, method) : null) {
            if (call.wantsMore() && method.hasProgress()) {
                call.replyContinues(Map.of("jobId", job.id()));
            }
            if (root != null) {
                job.setRootDirectory(root.name());
            }
            Object of = archive == null ? job : archive.identity();
            JobSlots.Turn turn = context.slots().enter(of, this::checkCancelled);
            try {
                return root == null ? converse(archive, null) : extract(archive, root);
            } finally {
                turn.end();
            }
        } finally {
            dropKept();
            call.closeDescriptors();
        }
    }

    /** Whether the job has used up a worker: then another one may be wanted soon. */
    boolean hasUsedUpWorker() {
        return hasUsedUpWorker;
    }

    /** Runs a job on a root directory. After any failure the directory is as it was before. */
    private WorkerReplies.Reply extract(@Nullable ArchiveFile archive, RootDirectory root) throws VarlinkException {
        boolean isDone = false;
        try {
            root.chownToMappedRoot(maps);
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
        Worker worker = takeWorker(root);
        hasUsedUpWorker = true;
        boolean hasRoot = false;
        boolean isDone = false;
        try {
            job.assign(worker);
            WorkerRequest request = WorkerRequest.ofJob(method, archive, root, parameters, maps, context.settings());
            hasRoot = root != null;
            WorkerReplies.Reply reply = new WorkerConversation(
                            context.idl(), context.settings().hangMillis())
                    .run(worker, request, context.idl().method(method.method()).output(), listener);
            requireFields(reply);
            if (root == null || !keep(worker, root)) {
                worker.process().kill();
                finished = worker;
            }
            isDone = true;
            return reply;
        } catch (VarlinkException e) {
            VarlinkException reason = job.cancellation();
            throw reason != null ? reason : e;
        } finally {
            job.unassign();
            if (!isDone) {
                worker.close();
                if (root != null && hasRoot) {
                    new Cleaning(context, call, job, method, maps).run(root);
                }
            }
        }
    }

    private Worker takeWorker(@Nullable RootDirectory root) throws VarlinkException {
        Worker worker = kept == null || root == null ? null : kept.take(method, root.identity(), maps);
        dropKept();
        return worker != null ? worker : AwaitedWorker.await(context.workers().take(maps), this::checkCancelled);
    }

    /** Stops the worker and keeps it for the next call; false when it may not wait. */
    private boolean keep(Worker worker, RootDirectory root) {
        KeptWorker next = method.isStep() ? KeptWorker.of(worker, root.identity(), context) : null;
        if (next == null) {
            return false;
        }
        call.keep(next);
        hasUsedUpWorker = false;
        return true;
    }

    private void dropKept() {
        if (kept != null) {
            kept.close();
            kept = null;
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

    /** Called while the job waits: its client may go, and others may cancel it. */
    private void checkCancelled() throws VarlinkException {
        // others come first, so none of them waits beside an idle worker
        dropKept();
        try {
            if (call.isPeerGone()) {
                listener.peerGone();
            }
        } catch (IOException e) {
            listener.peerGone();
        }
        job.throwIfCancelled();
    }
}
