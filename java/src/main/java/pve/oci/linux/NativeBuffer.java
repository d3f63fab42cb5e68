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
    /** Zeroed memory of that many bytes, freed when the buffer is garbage. */
    public static NativeBuffer allocate(int size) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
        return new NativeBuffer(buffer, Pointer.nativeValue(Native.getDirectBufferPointer(buffer)));
    }

    public int size() {
        return buffer.capacity();
    }
}
