package pve.oci.linux;

import com.sun.jna.Native;

/** poll(2) on a few descriptors: a view on its array of struct pollfd. One thread owns it. */
public final class Poll {
    public static final int POLLIN = 0x1;
    public static final int POLLOUT = 0x4;
    public static final int POLLERR = 0x8;
    /** Both directions of the socket have ended: a peer that has only ended its sending does not raise it. */
    public static final int POLLHUP = 0x10;

    /** The peer sends no more, but may still read. */
    public static final int POLLRDHUP = 0x2000;

    private static final int ENTRY_SIZE = 8;

    private final NativeBuffer memory;

    /** @param maximumCount how many descriptors the array has room for */
    public Poll(int maximumCount) {
        memory = NativeBuffer.allocate(maximumCount * ENTRY_SIZE);
    }

    /** What to wait for at that place of the array; a descriptor below 0 is ignored. */
    public Poll set(int index, int fd, int events) {
        memory.buffer()
                .putInt(index * ENTRY_SIZE, fd)
                .putShort(index * ENTRY_SIZE + 4, (short) events)
                .putShort(index * ENTRY_SIZE + 6, (short) 0);
        return this;
    }

    /**
     * Waits until one of the first {@code count} descriptors is ready.
     *
     * @param timeoutMillis -1: for ever
     * @return how many are ready; 0 after the timeout, or earlier when a signal came
     */
    public int await(int count, long timeoutMillis) throws ErrnoException {
        int timeout = (int) Math.max(-1, Math.min(timeoutMillis, Integer.MAX_VALUE));
        int ready = LibcFunctions.poll(memory.address(), count, timeout);
        if (ready < 0) {
            int errno = Native.getLastError();
            if (errno != Errno.EINTR) {
                throw new ErrnoException("poll", errno);
            }
            return 0;
        }
        return ready;
    }

    /** What the last wait found at that place. */
    public int result(int index) {
        return memory.buffer().getShort(index * ENTRY_SIZE + 6) & 0xffff;
    }

    /** One descriptor, one wait. */
    public static int await(int fd, int events, long timeoutMillis) throws ErrnoException {
        Poll poll = new Poll(1).set(0, fd, events);
        poll.await(1, timeoutMillis);
        return poll.result(0);
    }
}
