package pve.oci.compress;

import com.github.luben.zstd.ZstdInputStreamNoFinalizer;
import com.github.luben.zstd.ZstdOutputStreamNoFinalizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** zstd streams for files that this program writes itself. For layers there is {@link Decompressor}. */
public final class ZstdStreams {
    private static final int LEVEL = 1;

    /** Enough for the level used here. A file that somebody else put in its place gets no more memory than this. */
    private static final int MAXIMUM_WINDOW_LOG = 23;

    private ZstdStreams() {}

    /** Returns a stream that compresses what is written. Closing it closes the other stream. */
    public static OutputStream compressing(OutputStream stream) throws IOException {
        return new ZstdOutputStreamNoFinalizer(stream, LEVEL);
    }

    /**
     * Returns a stream that decompresses what is read. A window of more than 8 MiB is an error. Closing it closes the
     * other stream.
     */
    public static InputStream decompressing(InputStream stream) throws IOException {
        return new ZstdInputStreamNoFinalizer(stream).setLongMax(MAXIMUM_WINDOW_LOG);
    }
}
