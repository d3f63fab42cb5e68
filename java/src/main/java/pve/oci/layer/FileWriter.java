package pve.oci.layer;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.FileMetadata;
import pve.oci.rootfs.Rootfs;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarReader;

/**
 * Writes regular files, straight from the memory that their content was decompressed into: large ones piece by piece as
 * it comes, small ones by {@link DeferredWrites}.
 */
final class FileWriter implements AutoCloseable {
    private final Rootfs rootfs;
    private final Progress progress;
    private final DeferredWrites deferred;

    /** @param cores see {@link LayerPipeline#cores} */
    FileWriter(Rootfs rootfs, Progress progress, int cores) {
        this.rootfs = rootfs;
        this.progress = progress;
        deferred = new DeferredWrites(cores - 1);
    }

    DeferredWrites deferred() {
        return deferred;
    }

    /** Sets attributes of the open file, after its owner and before its time. */
    interface AttributeStep {
        void set(Fd fd) throws IOException;
    }

    /**
     * Writes the entry that the reader stands at.
     *
     * @param attributes null when the entry has none
     */
    void write(
            Layer layer,
            Directory parent,
            EntryPath path,
            FileMetadata metadata,
            TarReader reader,
            LayerPipeline source,
            @Nullable AttributeStep attributes)
            throws IOException {
        Fd fd = rootfs.createFile(parent, path, metadata);
        boolean isDeferred = false;
        try {
            TarEntry entry = reader.entry();
            boolean hasData = reader.nextData();
            boolean isWhole = hasData ? reader.dataLength() == entry.size() : entry.size() == 0;
            if (isWhole && attributes == null && !parent.inheritsAcl() && !entry.isSparse()) {
                long address = hasData ? source.address() + reader.dataOffset() : 0;
                isDeferred = true;
                deferred.file().set(layer, path, metadata, parent.inheritsGroup());
                deferred.add(fd, source.slots(), address, (int) entry.size());
                progress.wroteBytes(entry.size());
                return;
            }
            writeContent(fd, entry, hasData, reader, source);
            rootfs.finishFile(parent, fd, metadata);
            if (attributes != null) {
                attributes.set(fd);
            }
            rootfs.setTime(fd, metadata);
        } finally {
            if (!isDeferred) {
                fd.close();
            }
        }
    }

    private void writeContent(Fd fd, TarEntry entry, boolean hasData, TarReader reader, LayerPipeline source)
            throws IOException {
        if (hasData) {
            writePieces(fd.number(), reader, source);
        }
        if (entry.isSparse()) {
            if (!hasData) {
                progress.wroteBytes(entry.size());
            }
            Libc.ftruncate(fd.number(), entry.size());
        }
    }

    /** Writes from the reader's current piece to the last one. Holes of a sparse file stay holes. */
    private void writePieces(int fd, TarReader reader, LayerPipeline source) throws IOException {
        long written = 0;
        long content = 0;
        do {
            long address = source.address() + reader.dataOffset();
            long length = reader.dataLength();
            long at = reader.fileOffset();
            boolean isInPlace = at == written;
            while (length > 0) {
                long count = isInPlace ? Libc.write(fd, address, length) : Libc.pwrite(fd, address, length, at);
                address += count;
                length -= count;
                at += count;
            }
            if (isInPlace) {
                written = at;
            }
            content += reader.dataLength();
            progress.wroteBytes(reader.dataLength());
        } while (reader.nextData());
        // holes count as written: they are part of the size that was allowed
        progress.wroteBytes(reader.entry().size() - content);
    }

    @Override
    public void close() {
        deferred.close();
    }
}
