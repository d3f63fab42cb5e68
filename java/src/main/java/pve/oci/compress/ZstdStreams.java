package pve.oci.compress;

import com.github.luben.zstd.ZstdInputStreamNoFinalizer;
import com.github.luben.zstd.ZstdOutputStreamNoFinalizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

/** Streams for files of our own. Layers are read by {@link Decompressor}s. */
public final class ZstdStreams {
    private static final int LEVEL = 1;

    /** Enough for the level used here. A file that somebody else put in its place gets no more memory than this. */
    private static final int MAXIMUM_WINDOW_LOG = 23;

    private ZstdStreams() {}

    /** Compresses what is written. Closing it closes the other stream. */
    public static OutputStream compressing(OutputStream stream) throws IOException {
        return new ZstdOutputStreamNoFinalizer(stream, LEVEL);
    }

    /** Decompresses what is read; a window beyond 8 MiB is an error. Closing it closes the other stream. */
    public static InputStream decompressing(InputStream stream) throws IOException {
        return new ZstdInputStreamNoFinalizer(stream).setLongMax(MAXIMUM_WINDOW_LOG);
    }
}
