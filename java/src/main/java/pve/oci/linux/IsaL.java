package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;

/**
 * Decompression of DEFLATE data by Intel's ISA-L (igzip_lib.h of libisal.so.2), twice as fast as zlib: one object is
 * one {@code struct inflate_state} in native memory. It reads a gzip member from behind the header on and checks the
 * trailer.
 */
public final class IsaL {
    /** Errors of {@code isal_inflate}. A positive value means that a buffer is used up, 0 that all went well. */
    public static final int ISAL_INVALID_BLOCK = -1;

    public static final int ISAL_INVALID_SYMBOL = -2;
    public static final int ISAL_INVALID_LOOKBACK = -3;
    public static final int ISAL_INCORRECT_CHECKSUM = -6;

    // offsets in struct inflate_state, the same in 2.30 and 2.31
    private static final int NEXT_OUT = 0;
    private static final int AVAIL_OUT = 8;
    private static final int NEXT_IN = 16;
    private static final int AVAIL_IN = 32;
    private static final int BLOCK_STATE = 21160;
    private static final int CRC_FLAG = 21172;
    // it is 87368 bytes large; the rest is for a version that adds to its end
    private static final int STATE_SIZE = 128 << 10;

    private static final int ISAL_BLOCK_FINISH = 5;
    private static final int ISAL_GZIP_NO_HDR_VER = 6;

    private static final boolean AVAILABLE = register();

    private final NativeBuffer state = NativeBuffer.allocate(STATE_SIZE);

    /** Only when {@link #isAvailable()}. */
    public IsaL() {
        if (!AVAILABLE) {
            throw new IllegalStateException("libisal.so.2 is not available");
        }
        Library.isal_inflate_init(state.address());
        state.buffer().putInt(CRC_FLAG, ISAL_GZIP_NO_HDR_VER);
    }

    /** Whether libisal.so.2 is installed. */
    public static boolean isAvailable() {
        return AVAILABLE;
    }

    private static boolean register() {
        try {
            Native.register(Library.class, NativeLibrary.getInstance("libisal.so.2"));
            return true;
        } catch (UnsatisfiedLinkError e) {
            return false;
        }
    }

    /** {@code void isal_inflate_reset(struct inflate_state *state)}: what comes next is another member. */
    public void reset() {
        Library.isal_inflate_reset(state.address());
    }

    /**
     * {@code int isal_inflate(struct inflate_state *state)}. Reads from one direct buffer, writes to the other, and
     * moves both positions.
     */
    public int inflate(ByteBuffer in, ByteBuffer out) {
        ByteBuffer fields = state.buffer();
        int availableIn = in.remaining();
        int availableOut = out.remaining();
        fields.putLong(NEXT_IN, address(in) + in.position());
        fields.putInt(AVAIL_IN, availableIn);
        fields.putLong(NEXT_OUT, address(out) + out.position());
        fields.putInt(AVAIL_OUT, availableOut);
        int result = Library.isal_inflate(state.address());
        // when it finds an error it may count bits that it never had: avail_in of -1
        in.position(in.position() + availableIn - Math.max(0, fields.getInt(AVAIL_IN)));
        out.position(out.position() + availableOut - fields.getInt(AVAIL_OUT));
        return result;
    }

    /** Whether the member is read to its end, its trailer included. */
    public boolean isFinished() {
        return state.buffer().getInt(BLOCK_STATE) == ISAL_BLOCK_FINISH;
    }

    private static long address(ByteBuffer direct) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(direct));
    }

    /** Named as in igzip_lib.h. */
    private static final class Library {
        private Library() {}

        static native void isal_inflate_init(long state);

        static native void isal_inflate_reset(long state);

        static native int isal_inflate(long state);
    }
}
