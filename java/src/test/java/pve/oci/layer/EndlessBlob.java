package pve.oci.layer;

import java.io.IOException;
import pve.oci.archive.BlobSource;
import pve.oci.linux.NativeBuffer;

/** A blob that goes on with zeros and never ends. */
record EndlessBlob(MemoryBlob start) implements BlobSource {
    @Override
    public long size() {
        return start.size();
    }

    @Override
    public int read(NativeBuffer into) throws IOException {
        int length = start.read(into);
        return length > 0 ? length : into.size();
    }

    @Override
    public void close() {
        start.close();
    }
}
