package pve.oci.compress;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Decompresses one blob, which is pushed through it piece by piece, by one thread at a time. After it has thrown an
 * exception, it can only be closed.
 */
public interface Decompressor extends AutoCloseable {
    /** Binary logarithm of the largest window that zstd accepts without {@code --long}: 128 MiB. */
    int DEFAULT_WINDOW_LOG_MAX = 27;

    /**
     * Decompresses from one direct buffer into another and moves both positions. Returns when out is full, or when in
     * is empty and everything that came of it is written. So after a call that filled out, there may be more to come
     * even if in is empty: call again with room in out.
     *
     * @throws CorruptBlobException when the bytes are damaged
     */
    void decompress(ByteBuffer in, ByteBuffer out) throws IOException;

    /**
     * To be called when there is no more input and the last {@link #decompress} did not fill its output.
     *
     * @throws CorruptBlobException when the blob ends in the middle of a member or frame
     */
    void finish() throws IOException;

    /** Frees native memory. */
    @Override
    void close();
}
