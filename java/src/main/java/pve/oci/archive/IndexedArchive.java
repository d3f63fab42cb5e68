package pve.oci.archive;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;

/** A tar archive with an index of its names: what a plain and a compressed archive have in common. */
abstract class IndexedArchive implements ImageFiles {
    /** The archive's descriptor, which this object owns. */
    final Fd fd;

    final TarIndex index = new TarIndex();

    IndexedArchive(Fd fd) {
        this.fd = fd;
    }

    @Override
    public @Nullable Long size(String name) throws IOException {
        TarIndex.IndexEntry entry = index.file(name);
        return entry == null ? null : entry.size();
    }

    @Override
    public @Nullable String otherType(String name) {
        TarIndex.IndexEntry entry = index.any(ImageNames.clean(name));
        return entry == null ? null : TarIndex.describe(entry.type());
    }

    @Override
    public boolean isEmpty() {
        return index.isEmpty();
    }

    @Override
    public BlobSource open(String name) throws IOException {
        TarIndex.IndexEntry entry = index.file(name);
        if (entry == null) {
            throw new IllegalArgumentException("not in the archive: " + name);
        }
        return open(entry);
    }

    /** Opens the content of a regular file. */
    abstract BlobSource open(TarIndex.IndexEntry entry) throws IOException;

    @Override
    public void close() {
        fd.close();
    }
}
