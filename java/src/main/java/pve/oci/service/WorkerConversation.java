package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.linux.Poll;
import pve.oci.text.Text;
import pve.oci.varlink.Frame;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/** Sends one request to a worker, and listens until its last reply. */
public final class WorkerConversation {
    /**
     * How long sending a request may take. It fits into any socket's buffer, so a worker that does not take it is
     * stuck.
     */
    private static final long SEND_MILLIS = 5_000;

    /** How long a new worker may take until it is ready. */
    public static final long START_MILLIS = 30_000;

    /** How often to check whether the client is still there while the worker keeps sending. */
    private static final long CHECK_NANOS = 50_000_000;

    /**
     * Our worker sends about ten events a second, and may catch up after a delay. One that sends far more has been
     * taken over.
     */
    private static final int EVENTS_PER_SECOND = 100;

    private static final int FIRST_EVENTS = 500;

    /** Gets the events of a conversation. */
    public interface Listener {
        /** Waits until the descriptor can be read. */
        default ServerCall.Readiness await(int fd, long timeoutMillis) throws IOException {
            return Poll.await(fd, Poll.POLLIN, timeoutMillis) == 0
                    ? ServerCall.Readiness.TIMEOUT
                    : ServerCall.Readiness.READY;
        }

        /** The client of the job has closed its connection. The worker is to be killed. */
        default void peerGone() {}

        default void progress(Map<String, @Nullable Object> progress) {}

        /**
         * The image's configuration, before anything is extracted.
         *
         * @param frame a reply that others follow
         */
        default void config(byte[] frame) {}

        /**
         * A line for the job's log.
         *
         * @param isProblem whether it is more than information
         */
        default void log(boolean isProblem, String text) {}
    }

    private final WorkerReplies replies;
    private final long hangMillis;

    /** @param idl of io.pve.oci */
    public WorkerConversation(Idl idl, long hangMillis) {
        this.replies = new WorkerReplies(idl);
        this.hangMillis = hangMillis;
    }

    /** Checks that the first frame of a new worker is the event that it is ready. */
    public static void requireReady(Frame frame) throws IOException {
        try {
            if (!WorkerReplies.isReady(frame.json())) {
                throw new IOException("worker's first message is not that it is ready");
            }
        } catch (VarlinkException e) {
            throw new IOException("worker's first message is not that it is ready: " + e.getMessage(), e);
        }
    }

    /**
     * Sends the request and listens until the last reply. Neither kills nor closes the worker.
     *
     * @param reply what the last reply's parameters must be
     * @throws VarlinkException the worker's error, or WorkerFailed when it does not answer as it should
     */
    WorkerReplies.Reply run(Worker worker, WorkerRequest request, IdlType.Struct reply, Listener listener)
            throws VarlinkException {
        try {
            Map<String, @Nullable Object> call = new LinkedHashMap<>();
            call.put("method", request.method());
            call.put("more", true);
            call.put("parameters", request.parameters());
            worker.channel().send(Json.write(call), request.descriptors(), SEND_MILLIS);
            return listen(worker, reply, listener);
        } catch (OutOfMemoryError e) {
            // the frame is garbage by now, and the worker that sent it will be killed
            throw OciErrors.workerFailed("worker's reply takes more memory than there is");
        } catch (IOException e) {
            throw OciErrors.workerFailed("connection to the worker: " + Text.clean(String.valueOf(e.getMessage())));
        }
    }

    /** Runs a request without listening to its events. */
    public void runUnheard(Worker worker, WorkerRequest request, IdlType.Struct reply) throws VarlinkException {
        run(worker, request, reply, new Listener() {});
    }

    private WorkerReplies.Reply listen(Worker worker, IdlType.Struct reply, Listener listener)
            throws VarlinkException, IOException {
        long started = System.nanoTime();
        long heard = started;
        long checked = started;
        long events = 0;
        long work = 0;
        boolean hasConfig = false;
        while (true) {
            Frame frame = worker.channel().tryReceive();
            long now = System.nanoTime();
            if (frame == null || now - checked >= CHECK_NANOS) {
                checked = now;
                awaitNext(worker, listener, frame == null ? hangMillis - (now - heard) / 1_000_000 : 0);
            }
            if (frame == null) {
                // what it sends is not read while other workers' large frames are in memory
                heard = worker.channel().isHeldBack() ? now : heard;
                continue;
            }
            WorkerReplies.Message message = replies.read(frame.json(), reply);
            if (message instanceof WorkerReplies.Reply last) {
                return last;
            }
            if (message instanceof WorkerReplies.ErrorReply last) {
                throw last.error();
            }
            if (++events > FIRST_EVENTS + EVENTS_PER_SECOND * ((now - started) / 1_000_000_000)) {
                throw OciErrors.workerFailed("worker sends more than " + EVENTS_PER_SECOND + " events a second");
            }
            if (message instanceof WorkerReplies.Config config) {
                if (hasConfig) {
                    throw OciErrors.workerFailed("worker sent an invalid reply: config twice");
                }
                hasConfig = true;
                listener.config(config.frame());
            } else {
                WorkerReplies.Event event = (WorkerReplies.Event) message;
                // a worker that only talks is as good as silent
                if (event.work() > work) {
                    work = event.work();
                    heard = now;
                }
                tell(listener, event);
            }
        }
    }

    /** Waits for the worker's next frame. Also notices when the client leaves, however much the worker sends. */
    private void awaitNext(Worker worker, Listener listener, long timeoutMillis) throws VarlinkException, IOException {
        if (worker.channel().hasEnded()) {
            throw died(worker);
        }
        if (timeoutMillis < 0) {
            throw OciErrors.workerFailed("worker gave no sign of life for " + hangMillis / 1000 + " s");
        }
        long millis = worker.channel().waitingMillis(timeoutMillis);
        if (listener.await(worker.channel().socket().number(), millis) == ServerCall.Readiness.PEER_GONE) {
            listener.peerGone();
            throw OciErrors.workerFailed("nobody waits for the worker");
        }
    }

    private static void tell(Listener listener, WorkerReplies.Event event) {
        if (event.log() != null) {
            listener.log(event.log().isProblem(), event.log().text());
        }
        if (event.progress() != null) {
            listener.progress(event.progress());
        }
    }

    private static VarlinkException died(Worker worker) {
        // its socket ends a moment before its process can be waited for
        worker.process().awaitGone(1_000);
        WorkerExit exit = worker.process().exit();
        return OciErrors.workerFailed("worker " + exit.describe(), exit.status(), exit.signal());
    }
}
