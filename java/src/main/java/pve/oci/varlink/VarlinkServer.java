package pve.oci.varlink;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.json.JsonFormatException;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Poll;

/** Answers the calls that come over connections, one after the other. Has no threads of its own. */
public final class VarlinkServer {
    /** Largest frame from root. The longest ones hold two ID maps or a list of kept paths, and are far smaller. */
    public static final int MAXIMUM_FRAME_SIZE = 64 << 10;

    /** Largest frame from other users. The methods that they may call have hardly any parameters. */
    private static final int MAXIMUM_STRANGERS_FRAME_SIZE = 4 << 10;

    /** How long a client may take for a reply that it has to get. */
    private static final long REPLY_MILLIS = 30_000;

    /** How long a client other than root may ask nothing. */
    private static final long IDLE_MILLIS = 60_000;

    /** How long something is kept for the next call of a connection. */
    private static final long KEPT_MILLIS = 5_000;

    private static final Logger LOG = LoggerFactory.getLogger(VarlinkServer.class);

    private final Map<String, VarlinkInterface> interfaces = new LinkedHashMap<>();
    private final LogThrottle complaints = new LogThrottle();

    /** Users other than root share it. */
    private final Pace strangersPace = new Pace();

    private final int maximumFrameSize;
    private final long stallMillis;

    public VarlinkServer(ServiceInfo info, List<VarlinkInterface> offered) {
        this(info, offered, MAXIMUM_FRAME_SIZE, REPLY_MILLIS);
    }

    /**
     * @param maximumFrameSize bytes of a call from root
     * @param stallMillis how long a client may take for a reply that it has to get
     */
    public VarlinkServer(ServiceInfo info, List<VarlinkInterface> offered, int maximumFrameSize, long stallMillis) {
        this.maximumFrameSize = maximumFrameSize;
        this.stallMillis = stallMillis;
        VarlinkInterface service = new ServiceInterface(info, interfaces).asInterface();
        interfaces.put(service.idl().name(), service);
        offered.forEach(each -> interfaces.put(each.idl().name(), each));
    }

    /** Serves the connection until it ends, then closes it. */
    public void serve(ChannelSocket connection) {
        try (connection;
                Peer peer = Peer.of(connection);
                FrameChannel channel = channel(connection, peer)) {
            serve(channel, peer);
        } catch (IOException e) {
            LOG.debug("connection failed reason=\"{}\"", e.getMessage());
        }
    }

    private void serve(FrameChannel channel, Peer peer) throws IOException {
        try (Keeping keeping = new Keeping()) {
            while (answerNext(channel, peer, keeping)) {
                // until the peer has ended
            }
        } catch (FrameException | JsonFormatException e) {
            if (peer.isRoot() || complaints.permits()) {
                LOG.info("connection dropped uid={} reason=\"{}\"", peer.uid(), e.getMessage());
            }
        }
    }

    /** What waits for the next call of a connection. */
    private static final class Keeping implements AutoCloseable {
        private ServerCall.@Nullable KeptResource kept;

        @Override
        public void close() {
            if (kept != null) {
                kept.close();
                kept = null;
            }
        }
    }

    /**
     * Descriptors are taken from root only. Closing one can wait for its owner: close(2) of a file of a FUSE file
     * system returns when the process behind that file system has answered. A descriptor that is never received is
     * never closed by this process.
     */
    private FrameChannel channel(ChannelSocket connection, Peer peer) {
        if (peer.isRoot()) {
            connection.acceptDescriptors();
            return FrameChannel.of(connection, maximumFrameSize);
        }
        connection.refuseDescriptors();
        return FrameChannel.paced(connection, Math.min(maximumFrameSize, MAXIMUM_STRANGERS_FRAME_SIZE), strangersPace);
    }

    private boolean answerNext(FrameChannel channel, Peer peer, Keeping keeping) throws IOException {
        if (keeping.kept != null && Poll.await(channel.socket().number(), Poll.POLLIN, KEPT_MILLIS) == 0) {
            keeping.close();
        }
        try (Frame frame = channel.receive(peer.isRoot() ? -1 : IDLE_MILLIS)) {
            if (frame == null) {
                return false;
            }
            answer(frame, channel, peer, keeping);
            return true;
        }
    }

    private void answer(Frame frame, FrameChannel channel, Peer peer, Keeping keeping) throws IOException {
        Call parsed = Call.parse(frame.json());
        ServerCall call = new ServerCall(parsed, frame, channel, peer, stallMillis, keeping.kept);
        // from here on it is the call's
        keeping.kept = null;
        try {
            handler(parsed).handle(call);
            if (!call.isAnswered()) {
                throw new IllegalStateException(call.method() + " was not answered");
            }
        } catch (VarlinkException e) {
            call.reply(e);
        } catch (RuntimeException e) {
            // a mistake in our program: the connection may be out of step, so it is closed
            LOG.error("call failed method={}", call.method(), e);
            throw new FrameException("internal error in " + call.method());
        } finally {
            keeping.kept = call.kept();
        }
    }

    private MethodHandler handler(Call call) throws VarlinkException {
        VarlinkInterface target = interfaces.get(call.interfaceName());
        if (target == null) {
            throw VarlinkException.interfaceNotFound(call.interfaceName());
        }
        if (!target.idl().methods().containsKey(call.memberName())) {
            throw VarlinkException.methodNotFound(call.method());
        }
        MethodHandler handler = target.handlers().get(call.memberName());
        // no method of ours hands its connection over to another protocol
        if (handler == null || call.upgrade()) {
            throw VarlinkException.methodNotImplemented(call.method());
        }
        requireParameters(target.idl(), call);
        return handler;
    }

    /** A handler sees only what its method's definition allows. */
    private static void requireParameters(Idl idl, Call call) throws VarlinkException {
        Idl.Method method = idl.method(call.memberName());
        String mismatch = new IdlChecker(idl).mismatch(method.input(), call.parameters(), "");
        if (mismatch != null) {
            throw VarlinkException.invalidParameter(mismatch);
        }
    }
}
