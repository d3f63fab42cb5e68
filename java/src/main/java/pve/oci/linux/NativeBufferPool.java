package pve.oci.linux;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Buffers of one size that are used again. Memory of direct buffers is given back by the garbage collector only, which
 * a process that makes little garbage hardly runs: without this, every job would leave its buffers behind.
 */
public final class NativeBufferPool {
    private final int size;
    private final Deque<NativeBuffer> free = new ArrayDeque<>();

    /** @param size bytes of each buffer */
    public NativeBufferPool(int size) {
        this.size = size;
    }

    /** Returns a buffer of the pool's size. It still holds what its last user wrote. */
    public synchronized NativeBuffer take() {
        NativeBuffer buffer = free.poll();
        if (buffer == null) {
            return NativeBuffer.allocate(size);
        }
        buffer.buffer().clear();
        return buffer;
    }

    /** Whether the next buffer that is taken has to be made. */
    public synchronized boolean isEmpty() {
        return free.isEmpty();
    }

    /** Gives a buffer back that nobody uses any more. */
    public synchronized void give(NativeBuffer buffer) {
        free.push(buffer);
    }

    /** For a process that will wait: buffers that nobody uses cost no memory until they are used again. */
    public synchronized void giveBack() {
        free.forEach(NativeBuffer::giveBack);
    }
}
