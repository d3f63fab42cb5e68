package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;
import pve.oci.varlink.VarlinkInterface;

/** The methods of io.pve.oci. */
public final class OciService {
    /** The interface's definition. */
    public static final Idl IDL = IdlParser.ofResource("/io.pve.oci.varlink");

    private static final long LIST_INTERVAL_MILLIS = 1_000;

    private volatile JobContext context;
    private final JobTable jobs = new JobTable();
    private final Metrics metrics;

    public OciService(ServiceSettings settings, WorkerSource workers, Metrics metrics) {
        JobSlots slots = new JobSlots(settings.maximumRunningJobs(), settings.maximumQueuedJobs());
        this.context =
                new JobContext(IDL, settings, slots, workers, new RootClaims(), new Semaphore(KeptWorker.MAXIMUM));
        this.metrics = metrics;
        metrics.gauge("jobs_running", null, slots::running);
        metrics.gauge("jobs_queued", null, slots::queued);
        metrics.gauge("spare_workers", null, workers::spareCount);
    }

    public VarlinkInterface asInterface() {
        return new VarlinkInterface(
                context.idl(),
                Map.ofEntries(
                        Map.entry("DetectArchive", this::runJob),
                        Map.entry("InspectImage", this::runJob),
                        Map.entry("VerifyImage", this::runJob),
                        Map.entry("ParseAndExtractImage", this::runJob),
                        Map.entry("CompareRootDirectory", this::runJob),
                        Map.entry("CompareWithImage", this::runJob),
                        Map.entry("StageUpdate", this::runJob),
                        Map.entry("ApplyUpdate", this::runJob),
                        Map.entry("ListJobs", this::listJobs),
                        Map.entry("CancelJob", this::cancelJob),
                        Map.entry("GetMetrics", this::getMetrics)));
    }

    /** Sets the settings for jobs that begin from now on. */
    public void reload(ServiceSettings settings) {
        JobContext old = context;
        old.slots().setMaximum(settings.maximumRunningJobs(), settings.maximumQueuedJobs());
        context = old.with(settings);
    }

    /** Takes no more jobs and ends those there are, each with an error that says so. */
    public void shutDown(long timeoutMillis) throws InterruptedException {
        jobs.shutDown(timeoutMillis);
    }

    /** Refuses peers that may not do this before anything is done for the call. */
    private void runJob(ServerCall call) throws VarlinkException, IOException {
        JobParameters bound = Parameters.bind(call, JobParameters.class);
        ImageMethod method = ImageMethod.ofName(call.method().substring(OciErrors.PREFIX.length()));
        if (method == null) {
            throw VarlinkException.methodNotFound(call.method());
        }
        PeerRules.requireRoot(call.peer(), method.method());
        if (bound.options() != null) {
            bound.options().requireLimits();
        }
        IdMaps maps = IdMaps.READING;
        if (method.hasRoot()) {
            maps = IdMaps.checked(orEmpty(bound.uidMap()), orEmpty(bound.gidMap()), context.settings());
        }
        Job job = jobs.add(method.method(), bound, call.peer().credentials());
        ImageJob image = new ImageJob(context, call, job, method, bound, maps);
        try (image) {
            runJob(call, job, image);
        } finally {
            if (image.hasUsedUpWorker()) {
                context.workers().jobEnded(maps);
            }
        }
    }

    /** Before the client gets the reply, the job has left the table, and its slot and worker are free for others. */
    private void runJob(ServerCall call, Job job, ImageJob image) throws VarlinkException, IOException {
        long started = System.nanoTime();
        String outcome = "internal error";
        String message = null;
        try {
            WorkerReplies.Reply reply = image.run();
            outcome = "ReplyNotTaken";
            job.setResult(reply.parameters());
            call.offerReply(reply.frame());
            jobs.remove(job);
            image.close();
            call.awaitReplyTaken();
            outcome = "ok";
        } catch (VarlinkException e) {
            outcome = e.error().substring(e.error().lastIndexOf('.') + 1);
            message = describe(e);
            throw e;
        } catch (IOException e) {
            outcome = outcome.equals("ReplyNotTaken") ? outcome : "ClientGone";
            message = String.valueOf(e.getMessage());
            throw e;
        } finally {
            jobs.remove(job);
            metrics.count("jobs", "outcome", outcome);
            JobLog.write(job, outcome, message, started);
        }
    }

    private static String describe(VarlinkException e) {
        Object message = e.parameters().get("message");
        return message == null ? String.valueOf(e.getMessage()) : message.toString();
    }

    private static List<IdMapRange> orEmpty(@Nullable List<IdMapRange> ranges) {
        return ranges == null ? List.of() : ranges;
    }

    private void listJobs(ServerCall call) throws VarlinkException, IOException {
        if (!call.wantsMore()) {
            call.reply(describeJobs(call));
            return;
        }
        ServerCall.KeptResource kept = call.takeKept();
        if (kept != null) {
            // this call may last for hours
            kept.close();
        }
        long version = jobs.version() - 1;
        while (true) {
            jobs.throwIfShuttingDown();
            if (version != jobs.version()) {
                version = jobs.version();
                call.offerProgress(describeJobs(call), LIST_INTERVAL_MILLIS);
            }
            if (call.await(-1, LIST_INTERVAL_MILLIS) == ServerCall.Readiness.PEER_GONE) {
                throw OciErrors.cancelled("", "the client closed its connection");
            }
        }
    }

    private Map<String, @Nullable Object> describeJobs(ServerCall call) {
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        reply.put(
                "jobs",
                jobs.visibleTo(call.peer().credentials()).stream()
                        .map(Job::describe)
                        .toList());
        return reply;
    }

    private void cancelJob(ServerCall call) throws VarlinkException, IOException {
        String id = Parameters.bind(call, JobId.class).id();
        Job job = jobs.find(id, call.peer().credentials());
        if (job == null) {
            throw OciErrors.noSuchJob(id);
        }
        job.cancelOrStopCleaning(
                OciErrors.cancelled(id, "asked for by process " + call.peer().pid()));
        call.reply(Map.of());
    }

    private void getMetrics(ServerCall call) throws VarlinkException, IOException {
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        reply.put("metrics", metrics.describe());
        call.reply(reply);
    }

    private record JobId(String id) {}
}
