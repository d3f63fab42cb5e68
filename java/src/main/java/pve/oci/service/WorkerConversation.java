package pve.oci.service;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.linux.Fd;
import pve.oci.linux.Poll;
import pve.oci.text.Text;
import pve.oci.varlink.Frame;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlType;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/** One request to a worker, and everything that it answers until its last reply. */
public final class WorkerConversation {
    static final String METHOD = "io.pve.oci.worker.Run";

    /** A request and two descriptors fit into any socket's buffer; a worker that does not take them is not alive. */
    private static final long SEND_MILLIS = 5_000;

    /** How long a new worker may take until it is ready. */
    public static final long START_MILLIS = 30_000;

    /** Who hears of it while it goes on. */
    public interface Listener {
        /** Waits until the descriptor can be read. */
        default ServerCall.Readiness await(int fd, long timeoutMillis) throws IOException {
            return Poll.await(fd, Poll.POLLIN, timeoutMillis) == 0
                    ? ServerCall.Readiness.TIMEOUT
                    : ServerCall.Readiness.READY;
        }

        /** The client of the job has closed its connection. The worker is to be killed. */
        default void peerGone() {}

        default void progress(Map<String, @Nullable Object> progress) throws IOException {}

        /** What stood in the root directory before the worker wrote anything. */
        default void existing(List<@Nullable Object> directories) {}

        default void log(String level, String text) {}
    }

    /** How a conversation ended: with the worker's own word, or without it. */
    public record Outcome(
            @Nullable Map<String, @Nullable Object> reply,
            @Nullable VarlinkException error,
            boolean isWorkersWord) {}

    private final WorkerReplies replies;
    private final long hangMillis;

    public WorkerConversation(Idl idl, long hangMillis) {
        this.replies = new WorkerReplies(idl);
        this.hangMillis = hangMillis;
    }

    /**
     * Sends the request and listens until the end. The worker is left as it is.
     *
     * @param parameters of the worker's method
     * @param descriptors that the worker gets copies of
     * @param reply what the last reply's parameters must be
     */
    public Outcome hold(
            Worker worker,
            Map<String, @Nullable Object> parameters,
            List<Fd> descriptors,
            IdlType.Struct reply,
            Listener listener) {
        try {
            Map<String, @Nullable Object> call = new LinkedHashMap<>();
            call.put("method", METHOD);
            call.put("more", true);
            call.put("parameters", parameters);
            worker.channel().send(Json.write(call), descriptors, SEND_MILLIS);
            return listen(worker, reply, listener);
        } catch (VarlinkException e) {
            return new Outcome(null, e, false);
        } catch (OutOfMemoryError e) {
            // the frame is garbage now; a worker that says so much is the one that has to go
            return new Outcome(null, OciErrors.workerFailed("worker's reply takes more memory than there is"), false);
        } catch (IOException e) {
            return new Outcome(
                    null,
                    OciErrors.workerFailed("connection to the worker: " + Text.clean(String.valueOf(e.getMessage()))),
                    false);
        }
    }

    private Outcome listen(Worker worker, IdlType.Struct reply, Listener listener)
            throws VarlinkException, IOException {
        long heard = System.nanoTime();
        while (true) {
            Frame frame = worker.channel().tryReceive();
            if (frame == null && worker.channel().hasEnded()) {
                throw died(worker);
            }
            if (frame == null) {
                long silence = (System.nanoTime() - heard) / 1_000_000;
                if (silence >= hangMillis) {
                    throw OciErrors.workerFailed("worker gave no sign of life for " + hangMillis / 1000 + " s");
                }
                if (listener.await(worker.channel().socket().number(), hangMillis - silence)
                        == ServerCall.Readiness.PEER_GONE) {
                    listener.peerGone();
                    return new Outcome(null, OciErrors.workerFailed("nobody waits for the worker"), false);
                }
                continue;
            }
            heard = System.nanoTime();
            WorkerReplies.Message message = replies.read(frame.json(), reply);
            if (message instanceof WorkerReplies.Reply last) {
                return new Outcome(last.parameters(), null, true);
            }
            if (message instanceof WorkerReplies.ErrorReply last) {
                return new Outcome(null, last.error(), true);
            }
            tell(listener, message);
        }
    }

    private static void tell(Listener listener, WorkerReplies.Message message) throws IOException {
        if (message instanceof WorkerReplies.LogMessage log) {
            listener.log(log.level(), log.text());
        } else if (message instanceof WorkerReplies.ProgressMessage progress) {
            if (progress.existing() != null) {
                listener.existing(progress.existing());
            }
            if (progress.progress() != null) {
                listener.progress(progress.progress());
            }
        }
    }

    private static VarlinkException died(Worker worker) {
        // its end is told by its socket a moment before its process can be waited for
        worker.process().awaitGone(1_000);
        WorkerExit exit = worker.process().exit();
        return OciErrors.workerFailed("worker " + exit.describe(), exit.status(), exit.signal());
    }
}
