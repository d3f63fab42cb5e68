package pve.oci.tar;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Where a {@link TarReader} gets its bytes from: a sequence of buffers, usually filled by another thread. Every buffer
 * but the last holds a multiple of 512 bytes, so that no header lies across two of them.
 */
public interface TarSource {
    /**
     * Gives the current buffer back and makes the next one current.
     *
     * @return false at the end of the archive; there is no current buffer then
     */
    boolean advance() throws IOException;

    /** The current buffer; its bytes from position to limit count, and the reader leaves both as they are. */
    ByteBuffer buffer();

    /**
     * Skips bytes that follow the current buffer, if the source can seek. A source whose every byte must be seen, such
     * as a layer's for its diff ID, skips nothing.
     *
     * @param count the most that may be skipped, at least 1
     * @return how many were skipped: a multiple of 512, and never more than the archive has
     */
    default long skip(long count) throws IOException {
        return 0;
    }
}
