package pve.oci.varlink;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.linux.Fd;
import pve.oci.linux.Poll;

/**
 * A call that is being answered. A client that does not read cannot block its handler: progress is only offered, and a
 * newer one replaces what could not be sent. Only {@link #reply} waits, up to a limit.
 */
public final class ServerCall {
    /** Why {@link #await} returned. */
    public enum Readiness {
        READY,
        /** The peer has closed its connection: nobody waits for the reply. */
        PEER_GONE,
        TIMEOUT
    }

    /** What one call of a connection leaves to the next one. */
    public interface KeptResource extends AutoCloseable {
        @Override
        void close();
    }

    private final Call call;
    private final Frame frame;
    private final FrameChannel channel;
    private final Peer peer;
    private final long stallMillis;
    private final Poll poll = new Poll(2);
    private @Nullable Map<String, @Nullable Object> latestProgress;
    private long nextProgressNanos = System.nanoTime();
    private long progressIntervalNanos;
    private boolean answered;
    private @Nullable KeptResource taken;
    private @Nullable KeptResource kept;

    /** @param kept by the call before; {@link #kept} has to be called in the end */
    ServerCall(Call call, Frame frame, FrameChannel channel, Peer peer, long stallMillis, @Nullable KeptResource kept) {
        this.taken = kept;
        this.call = call;
        this.frame = frame;
        this.channel = channel;
        this.peer = peer;
        this.stallMillis = stallMillis;
    }

    /** The method's name with its interface. */
    public String method() {
        return call.method();
    }

    public Map<String, @Nullable Object> parameters() {
        return call.parameters();
    }

    /** Whether replies before the last one are wanted. */
    public boolean wantsMore() {
        return call.more() && !call.oneway();
    }

    public Peer peer() {
        return peer;
    }

    /** Takes over what the call before has kept; null: nothing. What is not taken is closed at the end of this call. */
    public @Nullable KeptResource takeKept() {
        KeptResource previous = taken;
        taken = null;
        return previous;
    }

    /**
     * Keeps this for the next call of the connection. It is closed when the connection ends, when there is no next call
     * within seconds, or when that call does not take it.
     */
    public void keep(KeptResource resource) {
        kept = resource;
    }

    /** To be called at the end: what the next call gets. */
    @Nullable
    KeptResource kept() {
        if (taken != null) {
            taken.close();
            taken = null;
        }
        return kept;
    }

    /** A descriptor that came with the call. It is closed when the call is answered. Null: there is none. */
    public @Nullable Fd descriptor(long index) {
        return index >= 0 && index < frame.descriptors().size()
                ? frame.descriptors().get((int) index)
                : null;
    }

    /** Closes the descriptors that came with the call, before its end. */
    public void closeDescriptors() {
        frame.close();
    }

    /** Sends the last reply. Waits until the client has taken it, or fails when that takes too long. */
    public void reply(Map<String, @Nullable Object> parameters) throws IOException {
        finish(envelope("parameters", parameters));
    }

    /** Sends an error as the last reply. */
    public void reply(VarlinkException error) throws IOException {
        Map<String, @Nullable Object> reply = envelope("error", error.error());
        reply.put("parameters", error.parameters());
        finish(reply);
    }

    private void finish(Map<String, @Nullable Object> reply) throws IOException {
        offerReply(Json.write(reply));
        awaitReplyTaken();
    }

    /**
     * Sends the last reply, a whole frame, as far as the client takes it at once. {@link #awaitReplyTaken} has to
     * follow. In between the caller can release what it holds, without waiting for a slow client.
     */
    public void offerReply(byte[] reply) throws IOException {
        if (answered) {
            throw new IllegalStateException(method() + " is answered already");
        }
        answered = true;
        latestProgress = null;
        frame.close();
        if (!call.oneway()) {
            channel.offer(reply);
        }
    }

    /** Waits until the client has taken the last reply, or fails when that takes too long. */
    public void awaitReplyTaken() throws IOException {
        channel.drain(stallMillis);
    }

    public boolean isAnswered() {
        return answered;
    }

    /** Sends a reply that others follow, and waits until the client has taken it. Only if {@link #wantsMore}. */
    public void replyContinues(Map<String, @Nullable Object> parameters) throws IOException {
        requireMore();
        channel.offer(Json.write(continuing(parameters)));
        channel.drain(stallMillis);
    }

    /**
     * Offers a reply that others follow, and that the next one may replace. Never waits. Only if {@link #wantsMore}.
     *
     * @param intervalMillis how long no other one is sent after it; then the latest one that was offered is sent
     */
    public void offerProgress(Map<String, @Nullable Object> parameters, long intervalMillis) throws IOException {
        requireMore();
        latestProgress = parameters;
        progressIntervalNanos = intervalMillis * 1_000_000;
        flush();
    }

    /**
     * Sends a reply that others follow, a whole frame. The client gets at once what it takes, and the rest as it reads.
     * Never waits. Only if {@link #wantsMore}.
     */
    public void offerContinuing(byte[] reply) throws IOException {
        requireMore();
        channel.offer(reply);
    }

    private void requireMore() {
        if (!wantsMore() || answered) {
            throw new IllegalStateException("no reply that others follow is wanted by " + method());
        }
    }

    private void flush() throws IOException {
        channel.flush();
        Map<String, @Nullable Object> progress = latestProgress;
        if (progress != null && !channel.hasOutgoing() && millisUntilProgress() == 0) {
            latestProgress = null;
            nextProgressNanos = System.nanoTime() + progressIntervalNanos;
            channel.offer(Json.write(continuing(progress)));
        }
    }

    private long millisUntilProgress() {
        long left = nextProgressNanos - System.nanoTime();
        return left <= 0 ? 0 : left / 1_000_000 + 1;
    }

    private static Map<String, @Nullable Object> continuing(Map<String, @Nullable Object> parameters) {
        Map<String, @Nullable Object> reply = envelope("parameters", parameters);
        reply.put("continues", true);
        return reply;
    }

    private static Map<String, @Nullable Object> envelope(String key, Object value) {
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        reply.put(key, value);
        return reply;
    }

    /**
     * Waits until the descriptor can be read, or the client has gone; sends progress meanwhile.
     *
     * @param fd -1: only the client and the time are waited for
     */
    public Readiness await(int fd, long timeoutMillis) throws IOException {
        long deadline = System.nanoTime() + timeoutMillis * 1_000_000;
        while (true) {
            long left = Math.max(0, (deadline - System.nanoTime() + 999_999) / 1_000_000);
            int wanted = Poll.POLLRDHUP | (channel.hasOutgoing() ? Poll.POLLOUT : 0);
            poll.set(0, channel.socket().number(), wanted).set(1, fd, Poll.POLLIN);
            boolean hasProgress = latestProgress != null && !channel.hasOutgoing();
            poll.await(2, hasProgress ? Math.min(left, millisUntilProgress()) : left);
            // a client that has only ended its sending wants the call to end too, and waits for that
            if ((poll.result(0) & (Poll.POLLHUP | Poll.POLLRDHUP | Poll.POLLERR)) != 0) {
                return Readiness.PEER_GONE;
            }
            flush();
            if (poll.result(1) != 0) {
                return Readiness.READY;
            }
            if (left == 0) {
                return Readiness.TIMEOUT;
            }
        }
    }

    /** Whether the client has ended its side of the connection, or is gone. */
    public boolean isPeerGone() throws IOException {
        return await(-1, 0) == Readiness.PEER_GONE;
    }

    /** Whether the client can no longer read a reply, because it has closed its connection. */
    public boolean isUnread() throws IOException {
        poll.set(0, channel.socket().number(), 0).await(1, 0);
        return poll.result(0) != 0;
    }
}
