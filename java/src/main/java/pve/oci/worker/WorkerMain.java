package pve.oci.worker;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;
import pve.oci.layer.LayerPipeline;
import pve.oci.linux.Fd;
import pve.oci.linux.FileMappings;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.Poll;
import pve.oci.linux.UnixSocket;
import pve.oci.oci.ImageException;
import pve.oci.text.Text;
import pve.oci.varlink.Call;
import pve.oci.varlink.Frame;
import pve.oci.varlink.FrameChannel;
import pve.oci.varlink.VarlinkException;

/**
 * Main class of the worker. The launcher creates it inside its sandbox, with the connection to the daemon as descriptor
 * 0. It answers calls of io.pve.oci.worker one after the other, and ends when the connection ends.
 */
public final class WorkerMain {
    private static final String ERROR_PREFIX = "io.pve.oci.";

    /** Requests are small; the list of entries that existed before is the largest part of one. */
    private static final JsonLimits REQUEST_LIMITS = new JsonLimits(16, 16 << 20, 200_000);

    private static final int REPORT_INTERVAL_MS = 100;
    private static final int IDLE_REPORTS = 40;

    /**
     * How long the daemon may take to read a frame. After that it must be stuck, and would not kill this process
     * either.
     */
    private static final long STALL_MS = 3_600_000;

    /**
     * After waiting this long, a warmed worker gives 9 MB back to the kernel. Getting them again takes its job 3 ms.
     */
    private static final long TIDY_MILLIS = 10_000;

    private final FrameChannel channel;

    /** One thread for all jobs: starting and ending one takes as long as reading a small image's manifest. */
    private final ScheduledExecutorService reporter = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "progress-reporter");
        thread.setDaemon(true);
        return thread;
    });

    /** Whether the last call was a step of an update. */
    private boolean isUpdating;

    private WorkerMain() throws IOException {
        UnixSocket connection = UnixSocket.of(new Fd(0));
        channel = FrameChannel.of(connection, REQUEST_LIMITS.maximumSize());
    }

    /**
     * Serves the connection on descriptor 0 to its end.
     *
     * @param arguments mappings whose pages a worker that waits gives back, for {@link FileMappings}; or none
     */
    public static void main(String[] arguments) throws IOException {
        new WorkerMain().serve(new FileMappings(arguments.length == 0 ? "" : arguments[0]));
    }

    /** Serves a number of calls on descriptor 0, without sending first that it is ready. */
    public static void serve(int calls) throws IOException {
        WorkerMain worker = new WorkerMain();
        for (int i = 0; i < calls && worker.serveNext(); i++) {
            // the end of the connection is an end as well
        }
    }

    private void serve(FileMappings files) throws IOException {
        sendEvent(Map.of("ready", true));
        while (serveNext()) {
            if (isUpdating) {
                continue; // the next step follows at once
            }
            // so far the worker was only warmed up; a collection frees the direct buffers before it waits for its job
            System.gc();
            if (Poll.await(0, Poll.POLLIN, TIDY_MILLIS) == 0) {
                LayerPipeline.giveMemoryBack();
                NativeBuffer.trimAll();
                files.giveBack();
                // what else there is before the next call would need pages again
                Poll.await(0, Poll.POLLIN, -1);
            }
        }
    }

    private boolean serveNext() throws IOException {
        Frame frame = channel.receive();
        if (frame == null) {
            return false;
        }
        try (frame) {
            Call call = Call.parse(frame.json(), REQUEST_LIMITS);
            JobRequest request = JobRequest.of(call.method(), call.parameters());
            isUpdating = request.action() == JobRequest.Action.STAGE || request.action() == JobRequest.Action.APPLY;
            // both stay null unless the method has such a field
            Fd archive = descriptor(frame, call, "archiveFileDescriptor");
            Fd root = descriptor(frame, call, "rootDirectoryFileDescriptor");
            run(request, archive, root);
        } catch (VarlinkException e) {
            sendLast(e.error(), e.parameters());
        }
        return true;
    }

    /** The descriptor that the field names; the frame closes it, unless the job has done so. */
    private static @Nullable Fd descriptor(Frame frame, Call call, String field) throws VarlinkException {
        if (!(call.parameters().get(field) instanceof Number index)) {
            return null;
        }
        if (index.longValue() < 0 || index.longValue() >= frame.descriptors().size()) {
            throw VarlinkException.invalidParameter(field);
        }
        return frame.descriptors().get(index.intValue());
    }

    private void run(JobRequest request, @Nullable Fd archive, @Nullable Fd root) {
        JobRunner job = new JobRunner(request, this::sendEvent);
        Report report = new Report(job);
        ScheduledFuture<?> reporting =
                reporter.scheduleWithFixedDelay(report, REPORT_INTERVAL_MS, REPORT_INTERVAL_MS, TimeUnit.MILLISECONDS);
        Map<String, @Nullable Object> reply;
        String error = null;
        try {
            reply = job.run(archive, root);
        } catch (ImageException e) {
            error = ERROR_PREFIX + e.error().definition();
            reply = new LinkedHashMap<>(e.parameters());
            reply.put("message", String.valueOf(e.getMessage()));
            for (Throwable suppressed : e.getSuppressed()) {
                logError("could not take back what was extracted: " + suppressed.getMessage());
            }
        } finally {
            reporting.cancel(false);
            report.end();
        }
        sendLast(error, reply);
    }

    /**
     * Reports progress ten times a second. While a job works without visible progress, it sends a sign of life every
     * four seconds. A job that does nothing is silent, and the daemon kills it in the end.
     */
    private final class Report implements Runnable {
        private final JobRunner job;
        private @Nullable Object last;
        private long workSeen;
        /** The number of reports before which the job had worked: what the daemon takes as its work. */
        private long worked;

        private long workedReported;
        private int idle;
        private boolean hasEnded;

        Report(JobRunner job) {
            this.job = job;
        }

        @Override
        public synchronized void run() {
            Map<String, @Nullable Object> now = job.progress().toJson();
            long work = job.workDone();
            if (work != workSeen || job.isUncounted()) {
                worked++;
            }
            workSeen = work;
            boolean isDue = !now.equals(last) || (++idle >= IDLE_REPORTS && worked > workedReported);
            if (!hasEnded && isDue) {
                sendEvent(Map.of("progress", now, "work", worked));
                last = now;
                idle = 0;
                workedReported = worked;
            }
        }

        /** Nothing is sent after this. */
        synchronized void end() {
            hasEnded = true;
        }
    }

    private void logError(String message) {
        sendEvent(Map.of("log", Map.of("level", "error", "message", Text.clean(message))));
    }

    /** Sends a reply that others follow; the interface's type Event. */
    private void sendEvent(Map<String, @Nullable Object> event) {
        Map<String, @Nullable Object> frame = new LinkedHashMap<>();
        frame.put("parameters", event);
        frame.put("continues", true);
        write(frame);
    }

    private void sendLast(@Nullable String error, Map<String, @Nullable Object> parameters) {
        Map<String, @Nullable Object> frame = new LinkedHashMap<>();
        if (error != null) {
            frame.put("error", error);
        }
        frame.put("parameters", parameters);
        write(frame);
    }

    /** One frame at a time: the reporter and the job's thread both write. A daemon that is gone ends the process. */
    private synchronized void write(Map<String, @Nullable Object> frame) {
        try {
            channel.send(Json.write(frame), List.of(), STALL_MS);
        } catch (IOException e) {
            Runtime.getRuntime().halt(0);
        }
    }
}
