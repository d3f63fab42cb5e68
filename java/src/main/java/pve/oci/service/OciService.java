package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.Idl;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;
import pve.oci.varlink.VarlinkInterface;

/** The methods of io.pve.oci. */
public final class OciService {
    private static final long LIST_INTERVAL_MILLIS = 1_000;

    /** What jobs share. */
    record Context(Idl idl, ServiceSettings settings, JobSlots slots, WorkerSource workers) {}

    private volatile Context context;
    private final JobTable jobs = new JobTable();
    private final Parameters parameters;
    private final Metrics metrics;

    public OciService(Idl idl, ServiceSettings settings, WorkerSource workers, Metrics metrics) {
        JobSlots slots = new JobSlots(settings.maximumRunningJobs(), settings.maximumQueuedJobs());
        this.context = new Context(idl, settings, slots, workers);
        this.parameters = new Parameters(idl);
        this.metrics = metrics;
        metrics.gauge("jobs_running", null, slots::running);
        metrics.gauge("jobs_queued", null, slots::queued);
        metrics.gauge("spare_workers", null, workers::spareCount);
    }

    public VarlinkInterface asInterface() {
        return new VarlinkInterface(
                context.idl(),
                Map.of(
                        "DetectArchive", this::runJob,
                        "InspectImage", this::runJob,
                        "VerifyImage", this::runJob,
                        "ParseAndExtractImage", this::runJob,
                        "ListJobs", this::listJobs,
                        "CancelJob", this::cancelJob,
                        "GetMetrics", this::getMetrics));
    }

    /** For jobs that begin after it. */
    public void reload(ServiceSettings settings) {
        Context old = context;
        old.slots().setMaximum(settings.maximumRunningJobs(), settings.maximumQueuedJobs());
        context = new Context(old.idl(), settings, old.slots(), old.workers());
    }

    /** Takes no more jobs and ends those there are, each with an error that says so. */
    public void shutDown(long timeoutMillis) throws InterruptedException {
        jobs.shutDown(timeoutMillis);
    }

    private void runJob(ServerCall call) throws VarlinkException, IOException {
        JobParameters bound = parameters.bind(call, JobParameters.class);
        Action action = Action.ofMethod(call.method().substring(OciErrors.PREFIX.length()));
        if (action == null) {
            throw VarlinkException.methodNotFound(call.method());
        }
        IdMaps maps = action == Action.EXTRACT
                ? IdMaps.checked(orEmpty(bound.uidMap()), orEmpty(bound.gidMap()), context.settings())
                : IdMaps.READING;
        Job job = jobs.add(action.method(), bound, call.peer().credentials());
        long started = System.nanoTime();
        try (ImageJob image = new ImageJob(context, call, job, action, bound, maps)) {
            runJob(call, job, image, started);
        } finally {
            context.workers().jobEnded(maps);
        }
    }

    /** To its reply: then it is a job no more, even if its worker is not gone yet. */
    private void runJob(ServerCall call, Job job, ImageJob image, long started) throws VarlinkException, IOException {
        String outcome = "internal error";
        try {
            Map<String, @Nullable Object> reply = image.run();
            outcome = "ok";
            job.setResult(reply);
            call.reply(reply);
        } catch (VarlinkException e) {
            outcome = e.error().substring(e.error().lastIndexOf('.') + 1);
            JobLog.write(job, outcome, describe(e), started);
            throw e;
        } catch (IOException e) {
            outcome = outcome.equals("ok") ? "ReplyNotTaken" : "ClientGone";
            JobLog.write(job, outcome, String.valueOf(e.getMessage()), started);
            throw e;
        } finally {
            jobs.remove(job);
            metrics.count("jobs", "outcome", outcome);
            if (outcome.equals("ok")) {
                JobLog.write(job, outcome, null, started);
            }
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
        parameters.bind(call, Nothing.class);
        if (!call.wantsMore()) {
            call.reply(describeJobs(call));
            return;
        }
        long version = jobs.version() - 1;
        while (true) {
            jobs.throwIfShuttingDown();
            if (version != jobs.version()) {
                version = jobs.version();
                call.offerProgress(describeJobs(call));
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
        String id = parameters.bind(call, JobId.class).id();
        Job job = jobs.find(id, call.peer().credentials());
        if (job == null) {
            throw OciErrors.noSuchJob(id);
        }
        job.cancel(OciErrors.cancelled(id, "asked for by process " + call.peer().pid()));
        call.reply(Map.of());
    }

    private void getMetrics(ServerCall call) throws VarlinkException, IOException {
        parameters.bind(call, Nothing.class);
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        reply.put("metrics", metrics.describe());
        call.reply(reply);
    }

    private record Nothing() {}

    private record JobId(String id) {}
}
