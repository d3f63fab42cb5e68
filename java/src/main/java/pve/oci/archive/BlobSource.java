package pve.oci.archive;

import java.io.IOException;
import pve.oci.linux.NativeBuffer;

/** A blob's bytes as stored, read once from front to end by one thread. */
public interface BlobSource extends AutoCloseable {
    /** How many bytes of the blob the archive holds, which may differ from its descriptor. */
    long size();

    /**
     * Fills memory from its beginning. A count smaller than the memory means that the end was reached.
     *
     * @return the number of bytes, 0 at the end
     */
    int read(NativeBuffer into) throws IOException;

    /**
     * Reads the last bytes of the blob, without changing what {@link #read} reads next.
     *
     * @return the number of bytes, 0 if the archive can only be read in order
     */
    default int readEnd(NativeBuffer into) throws IOException {
        return 0;
    }

    @Override
    void close();
}
