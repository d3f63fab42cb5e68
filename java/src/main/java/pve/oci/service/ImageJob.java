package pve.oci.service;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.Fd;
import pve.oci.text.Text;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * One job from its start to the moment before its reply: opens what it works on, waits for its turn and its worker,
 * hears the worker out, and leaves nothing behind: no process, no descriptor, after a failure no file. A worker that has
 * done its job has closed everything before it said so; it is killed before the reply, and {@link #close}, after the
 * reply, waits until it is gone. Any other worker is gone before.
 */
final class ImageJob implements AutoCloseable {
    private static final long LOOK_MILLIS = 10;
    private static final Logger LOG = LoggerFactory.getLogger(ImageJob.class);

    private final Idl idl;
    private final ServiceSettings settings;
    private final JobSlots slots;
    private final WorkerSource workers;

    private final ServerCall call;
    private final Job job;
    private final Action action;
    private final JobParameters parameters;
    private final IdMaps maps;
    private final JobListener listener;

    /** Until its worker is gone. */
    private boolean hasSlot;

    /** Has done the job, and was killed. */
    private @Nullable Worker finished;

    ImageJob(
            OciService.Context context,
            ServerCall call,
            Job job,
            Action action,
            JobParameters parameters,
            IdMaps maps) {
        this.idl = context.idl();
        this.settings = context.settings();
        this.slots = context.slots();
        this.workers = context.workers();
        this.call = call;
        this.job = job;
        this.action = action;
        this.parameters = parameters;
        this.maps = maps;
        this.listener = new JobListener(call, job, call.wantsMore() && action.hasProgress());
    }

    /** Does it all. */
    Map<String, @Nullable Object> run() throws VarlinkException, IOException {
        try (ImageArchive archive = ImageArchive.open(call, parameters);
                RootDirectory root = action == Action.EXTRACT
                        ? RootDirectory.open(call, parameters, maps, settings.protectedPaths())
                        : null) {
            if (call.wantsMore() && action.hasProgress()) {
                call.replyContinues(Map.of("jobId", job.id()));
            }
            slots.enter(this::look);
            hasSlot = true;
            return work(archive, root);
        } finally {
            call.closeDescriptors();
        }
    }

    private Map<String, @Nullable Object> work(ImageArchive archive, @Nullable RootDirectory root)
            throws VarlinkException {
        try {
            WorkerConversation.Outcome outcome = converse(archive, root);
            if (outcome.error() != null) {
                if (root != null && !outcome.isWorkersWord()) {
                    clean(root);
                }
                VarlinkException reason = job.cancellation();
                throw reason != null ? reason : outcome.error();
            }
            return checkedReply(outcome.reply());
        } catch (VarlinkException e) {
            awaitFinished();
            if (root != null) {
                root.giveBack();
            }
            throw e;
        }
    }

    private Map<String, @Nullable Object> checkedReply(@Nullable Map<String, @Nullable Object> reply)
            throws VarlinkException {
        for (String field : action.requiredInReply()) {
            if (reply == null || reply.get(field) == null) {
                throw OciErrors.workerFailed("worker sent an invalid reply: no " + field);
            }
        }
        return reply == null ? Map.of() : reply;
    }

    private WorkerConversation.Outcome converse(ImageArchive archive, @Nullable RootDirectory root)
            throws VarlinkException {
        List<Fd> descriptors = new ArrayList<>();
        descriptors.add(archive.fd());
        if (root != null) {
            descriptors.add(root.tree());
        }
        Worker worker = await(workers.take(maps));
        try {
            job.assign(worker);
            WorkerConversation.Outcome outcome = new WorkerConversation(idl, settings.hangMillis())
                    .hold(
                            worker,
                            WorkerRequest.ofJob(action, archive, parameters, maps, settings),
                            descriptors,
                            idl.method(action.method()).output(),
                            listener);
            if (outcome.error() == null) {
                worker.process().kill();
                finished = worker;
            }
            return outcome;
        } finally {
            job.unassign();
            if (finished == null) {
                worker.close();
            }
        }
    }

    @Override
    public void close() {
        try {
            awaitFinished();
        } finally {
            if (hasSlot) {
                slots.leave();
            }
        }
    }

    private void awaitFinished() {
        if (finished != null) {
            finished.close();
        }
    }

    private boolean isUnread() {
        try {
            return call.isUnread();
        } catch (IOException e) {
            return true;
        }
    }

    /** While the job waits, its client may go, and others may cancel it. */
    private void look() throws VarlinkException {
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
        while (true) {
            try {
                return starting.get(LOOK_MILLIS, TimeUnit.MILLISECONDS);
            } catch (TimeoutException e) {
                lookOrGiveUp(starting);
            } catch (ExecutionException e) {
                throw OciErrors.workerFailed("worker cannot be started: " + Text.clean(describe(e)));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw OciErrors.shuttingDown();
            }
        }
    }

    private static String describe(ExecutionException e) {
        return String.valueOf(
                e.getCause() == null ? e.getMessage() : e.getCause().getMessage());
    }

    private void lookOrGiveUp(CompletableFuture<Worker> starting) throws VarlinkException {
        try {
            look();
        } catch (VarlinkException e) {
            CompletableFuture<Void> unused = starting.thenAccept(Worker::close);
            throw e;
        }
    }

    /**
     * The worker died in the middle of its work: another one removes what it made, as nobody else may touch it. Unless the
     * client is gone altogether: then somebody is about to unmount the root directory, and nothing may hold it.
     */
    private void clean(RootDirectory root) {
        List<@Nullable Object> existing = listener.existing();
        if (existing == null || isUnread()) {
            // without the worker's word it had not come to its first write
            return;
        }
        try (Worker worker = workers.take(maps).get(WorkerConversation.START_MILLIS, TimeUnit.MILLISECONDS)) {
            WorkerConversation.Outcome outcome = new WorkerConversation(idl, settings.cleanMillis())
                    .hold(
                            worker,
                            WorkerRequest.ofClean(maps, existing),
                            List.of(root.tree()),
                            new IdlType.Struct(Map.of()),
                            new WorkerConversation.Listener() {});
            if (outcome.error() != null) {
                LOG.warn(
                        "root directory not cleaned job={} reason=\"{}\"",
                        job.id(),
                        outcome.error().parameters().get("message"));
            }
        } catch (ExecutionException | TimeoutException e) {
            LOG.warn("root directory not cleaned job={} reason=\"{}\"", job.id(), e.toString());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
