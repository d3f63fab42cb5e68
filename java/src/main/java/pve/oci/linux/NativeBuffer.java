package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Native memory with its address: a direct buffer, in native byte order, that system calls can be pointed at.
 *
 * @param buffer the memory; the holder keeps its position and limit as it likes
 * @param address of the buffer's first byte
 */
public record NativeBuffer(ByteBuffer buffer, long address) {
    private static final long PAGE_SIZE = 4096;
    private static final int MADV_DONTNEED = 4;

    /** Zeroed memory of that many bytes, freed when the buffer is garbage. */
    public static NativeBuffer allocate(int size) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
        return new NativeBuffer(buffer, Pointer.nativeValue(Native.getDirectBufferPointer(buffer)));
    }

    public int size() {
        return buffer.capacity();
    }

    /**
     * Gives the pages that lie within back to the kernel, madvise(2): what was in them is lost, and they cost nothing
     * until they are written to again.
     */
    void giveBack() {
        giveBack((address + PAGE_SIZE - 1) & -PAGE_SIZE, (address + size()) & -PAGE_SIZE);
    }

    /** Gives pages back that lie between these addresses. */
    static void giveBack(long start, long end) {
        if (end > start) {
            // if it fails, nothing has changed
            LibcFunctions.madvise(start, end - start, MADV_DONTNEED);
        }
    }

    /** Has the C library give memory back that it keeps for later, malloc_trim(3). */
    public static void trimAll() {
        LibcFunctions.malloc_trim(0);
    }
}
