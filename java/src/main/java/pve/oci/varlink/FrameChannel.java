package pve.oci.varlink;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;
import pve.oci.linux.Poll;
import pve.oci.linux.UnixSocket;

/**
 * Frames, each ended by NUL, on a Unix socket. Nothing is read beyond the frame at hand: a peer that sends many calls
 * at once waits in the kernel, and descriptors are always those of the frame that they came with. One thread owns it.
 */
public final class FrameChannel implements AutoCloseable {
    private static final int READ_SIZE = 64 << 10;
    private static final int FIRST_READ_SIZE = 4 << 10;

    /** How long a frame may take that has begun to arrive. */
    private static final long UNFINISHED_MILLIS = 10_000;

    /** How long the peer may leave a large frame unread: meanwhile no other one is received in this process. */
    private static final long LARGE_UNREAD_MILLIS = 30_000;

    private static final List<Fd> NO_DESCRIPTORS = List.of();

    private final UnixSocket socket;
    private final int maximumSize;
    private final boolean takesDescriptors;
    private final @Nullable Pace pace;
    private final Poll poll = new Poll(1);
    private final List<Fd> received = new ArrayList<>();
    private final Deque<byte[]> outgoing = new ArrayDeque<>();
    private int outgoingOffset;
    private byte[] incoming = new byte[0];
    private int incomingSize;
    private long begunNanos;

    /**
     * Whether a large frame that arrives or has arrived here is counted: until the next frame is asked for, because
     * then its owner has done with it, or the channel is closed.
     */
    private boolean holdsLarge;

    /** Whether the frame at hand is not read on because others hold large ones. */
    private boolean isHeldBack;

    /** The large frames among those that wait to be sent. */
    private int largeOutgoing;

    private long largeOfferedNanos;

    /** Whether a part of a frame was sent, and the rest never will be. */
    private boolean isGivenUp;

    private boolean ended;

    private FrameChannel(UnixSocket socket, int maximumSize, boolean takesDescriptors, @Nullable Pace pace) {
        this.socket = socket;
        this.maximumSize = maximumSize;
        this.takesDescriptors = takesDescriptors;
        this.pace = pace;
    }

    /** Takes over the socket. Larger frames than {@code maximumSize} end the connection. */
    public static FrameChannel of(UnixSocket socket, int maximumSize) {
        return new FrameChannel(socket, maximumSize, true, null);
    }

    /** The same for a peer from whom descriptors are never wanted: the kernel drops them. */
    public static FrameChannel withoutDescriptors(UnixSocket socket, int maximumSize) {
        return new FrameChannel(socket, maximumSize, false, null);
    }

    /** The same for a peer that has to share a pace with others: it gets a turn each time something is received. */
    static FrameChannel paced(UnixSocket socket, int maximumSize, Pace pace) {
        return new FrameChannel(socket, maximumSize, false, pace);
    }

    public UnixSocket socket() {
        return socket;
    }

    /** Whether the peer will send no more. */
    public boolean hasEnded() {
        return ended;
    }

    /** The next frame, however long it takes; null when the peer has ended between frames. */
    public @Nullable Frame receive() throws IOException {
        return receive(-1);
    }

    /**
     * The next frame; null after the timeout, or, see {@link #hasEnded}, when the peer has ended between frames. A
     * frame that has begun must be finished in some seconds: what has arrived of it takes memory.
     */
    public @Nullable Frame receive(long timeoutMillis) throws IOException {
        long deadline = System.nanoTime() + timeoutMillis * 1_000_000;
        while (true) {
            if (pace != null) {
                pace.await();
            }
            Frame frame = tryReceive();
            if (frame != null || ended) {
                return frame;
            }
            long left = timeoutMillis < 0 ? -1 : (deadline - System.nanoTime()) / 1_000_000;
            if (timeoutMillis >= 0 && left <= 0) {
                return null;
            }
            poll.set(0, socket.number(), Poll.POLLIN).await(1, waitingMillis(left));
        }
    }

    /**
     * How long to wait for more bytes, of the time that is left. A frame that has begun must be complete within some
     * seconds: it takes memory, and others may wait until it is gone.
     *
     * @param left negative: there is no end
     */
    public long waitingMillis(long left) throws FrameException {
        if (incomingSize == 0) {
            return left;
        }
        long leftOfFrame = UNFINISHED_MILLIS - (System.nanoTime() - begunNanos) / 1_000_000;
        if (leftOfFrame <= 0) {
            throw new FrameException("frame was not finished within " + UNFINISHED_MILLIS / 1000 + " s");
        }
        return left < 0 ? leftOfFrame : Math.min(left, leftOfFrame);
    }

    /** The next frame if all of it has arrived. */
    public @Nullable Frame tryReceive() throws IOException {
        if (incomingSize == 0) {
            endLarge();
        }
        while (!ended && mayGrow()) {
            int room = makeRoom();
            int available = socket.peek(incoming, incomingSize, room);
            if (available == UnixSocket.WOULD_BLOCK) {
                return null;
            }
            if (available == UnixSocket.END) {
                ended = true;
                if (incomingSize > 0) {
                    throw new FrameException("connection ended inside a frame, after " + incomingSize + " bytes");
                }
                return null;
            }
            int nul = indexOfNul(available);
            int wanted = nul < 0 ? available : nul + 1;
            if (incomingSize + (nul < 0 ? wanted : nul) > maximumSize) {
                throw new FrameException("frame is larger than the limit of " + maximumSize + " bytes");
            }
            int taken = take(wanted);
            if (nul >= 0 && taken == wanted) {
                return completeFrame();
            }
        }
        return null;
    }

    private boolean mayGrow() {
        if (incomingSize >= LargeFrames.SIZE && !holdsLarge) {
            holdsLarge = LargeFrames.begin();
            isHeldBack = !holdsLarge;
            begunNanos = System.nanoTime();
            return holdsLarge;
        }
        return true;
    }

    /** Whether the peer can do nothing for it that its frame is not complete: the others' large ones go first. */
    public boolean isHeldBack() {
        return isHeldBack;
    }

    private void endLarge() {
        if (holdsLarge) {
            holdsLarge = false;
            LargeFrames.end();
        }
    }

    /**
     * Makes room for more bytes of the frame, up to one more than the largest may have; returns how many to peek at.
     */
    private int makeRoom() {
        int wanted = incomingSize == 0 ? FIRST_READ_SIZE : Math.min(incomingSize, READ_SIZE);
        int size = Math.min(incomingSize + wanted, maximumSize + 1);
        if (incoming.length < size) {
            int more = incoming.length < LargeFrames.SIZE ? incoming.length : incoming.length / 4;
            incoming = Arrays.copyOf(incoming, Math.min(Math.max(size, incoming.length + more), maximumSize + 1));
        }
        return Math.min(incoming.length - incomingSize, READ_SIZE);
    }

    private int indexOfNul(int length) {
        for (int i = 0; i < length; i++) {
            if (incoming[incomingSize + i] == 0) {
                return i;
            }
        }
        return -1;
    }

    private int take(int wanted) throws IOException {
        int taken = socket.receive(incoming, incomingSize, wanted, takesDescriptors ? received : null);
        if (taken < 0) {
            throw new FrameException("connection was reset");
        }
        if (incomingSize == 0) {
            begunNanos = System.nanoTime();
        }
        incomingSize += taken;
        if (received.size() > UnixSocket.MAXIMUM_DESCRIPTORS) {
            throw new FrameException("frame brings more than " + UnixSocket.MAXIMUM_DESCRIPTORS + " descriptors");
        }
        return taken;
    }

    private Frame completeFrame() {
        Frame frame = new Frame(withoutNul(), List.copyOf(received));
        received.clear();
        incomingSize = 0;
        // a large frame's memory is not kept for small ones to come
        incoming = incoming.length > FIRST_READ_SIZE ? new byte[0] : incoming;
        return frame;
    }

    /** A large frame is not copied: it would be in memory twice. Spaces behind it mean nothing in JSON. */
    private byte[] withoutNul() {
        if (incomingSize < LargeFrames.SIZE) {
            return Arrays.copyOf(incoming, incomingSize - 1);
        }
        Arrays.fill(incoming, incomingSize - 1, incoming.length, (byte) ' ');
        return incoming;
    }

    /** Puts a frame behind those that still wait to be sent, and sends what the peer takes at once. */
    public void offer(byte[] json) throws IOException {
        requireNotGivenUp();
        if (json.length > READ_SIZE) {
            // not a second time in memory
            outgoing.add(json);
            if (json.length >= LargeFrames.SIZE) {
                LargeFrames.add();
                largeOfferedNanos = largeOutgoing == 0 ? System.nanoTime() : largeOfferedNanos;
                largeOutgoing++;
            }
            outgoing.add(new byte[1]);
        } else {
            outgoing.add(Arrays.copyOf(json, json.length + 1));
        }
        flush();
    }

    /** Sends what the peer takes without waiting. */
    public void flush() throws IOException {
        requireNotGivenUp();
        while (!outgoing.isEmpty()) {
            byte[] first = outgoing.element();
            int count = socket.send(first, outgoingOffset, first.length - outgoingOffset, NO_DESCRIPTORS);
            if (count == UnixSocket.WOULD_BLOCK) {
                giveUpIfUnread();
                return;
            }
            outgoingOffset += count;
            if (outgoingOffset == first.length) {
                outgoing.remove();
                outgoingOffset = 0;
                if (first.length >= LargeFrames.SIZE && largeOutgoing > 0) {
                    largeOutgoing--;
                    LargeFrames.end();
                }
            }
        }
    }

    private void giveUpIfUnread() throws FrameException {
        if (largeOutgoing > 0 && System.nanoTime() - largeOfferedNanos >= LARGE_UNREAD_MILLIS * 1_000_000) {
            dropOutgoing();
            isGivenUp = true;
            requireNotGivenUp();
        }
    }

    private void requireNotGivenUp() throws FrameException {
        if (isGivenUp) {
            throw new FrameException("peer did not read what was sent within " + LARGE_UNREAD_MILLIS + " ms");
        }
    }

    private void dropOutgoing() {
        outgoing.clear();
        for (; largeOutgoing > 0; largeOutgoing--) {
            LargeFrames.end();
        }
    }

    /** Whether frames wait for the peer to read. */
    public boolean hasOutgoing() {
        return !outgoing.isEmpty();
    }

    /**
     * Sends everything that waits, then this frame, with descriptors of which the peer gets copies.
     *
     * @param millis how long the peer may take to read all of it
     */
    public void send(byte[] json, List<Fd> descriptors, long millis) throws IOException {
        long deadline = System.nanoTime() + millis * 1_000_000;
        drain(millis);
        byte[] frame = Arrays.copyOf(json, json.length + 1);
        List<Fd> unsent = descriptors;
        for (int offset = 0; offset < frame.length; ) {
            int count = socket.send(frame, offset, frame.length - offset, unsent);
            if (count == UnixSocket.WOULD_BLOCK) {
                awaitWritable(deadline, millis);
            } else {
                offset += count;
                unsent = NO_DESCRIPTORS;
            }
        }
    }

    /**
     * Sends everything that waits.
     *
     * @param millis how long the peer may take to read all of it, however steadily it reads
     */
    public void drain(long millis) throws IOException {
        long deadline = System.nanoTime() + millis * 1_000_000;
        flush();
        while (hasOutgoing()) {
            awaitWritable(deadline, millis);
            flush();
        }
    }

    private void awaitWritable(long deadline, long millis) throws IOException {
        while (true) {
            long left = (deadline - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new FrameException("peer did not read what was sent within " + millis + " ms");
            }
            if (poll.set(0, socket.number(), Poll.POLLOUT).await(1, left) > 0) {
                return;
            }
        }
    }

    /** Closes the socket and every descriptor of an unfinished frame. */
    @Override
    public void close() {
        endLarge();
        dropOutgoing();
        received.forEach(Fd::close);
        received.clear();
        socket.close();
    }
}
