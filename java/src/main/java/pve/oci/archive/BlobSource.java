package pve.oci.archive;

import java.io.IOException;
import pve.oci.linux.NativeBuffer;

/** A blob's bytes as stored, read once from front to end by one thread. */
public interface BlobSource extends AutoCloseable {
    /** How many bytes the archive has of it, whatever its descriptor says. */
    long size();

    /**
     * Fills memory from its beginning, as far as there is more: a short count means that the end was reached.
     *
     * @return the number of bytes, 0 at the end
     */
    int read(NativeBuffer into) throws IOException;

    @Override
    void close();
}
