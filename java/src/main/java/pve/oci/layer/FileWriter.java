package pve.oci.layer;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
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
    private final DeferredWrites deferred = new DeferredWrites();
    private final DeferredWrites.FileMetadata metadata = new DeferredWrites.FileMetadata();

    FileWriter(Rootfs rootfs, Progress progress) {
        this.rootfs = rootfs;
        this.progress = progress;
    }

    DeferredWrites deferred() {
        return deferred;
    }

    /** Sets attributes of the open file, after its owner and before its time. */
    interface AttributeStep {
        void set(int fd) throws IOException;
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
            TarReader reader,
            LayerPipeline source,
            @Nullable AttributeStep attributes)
            throws IOException {
        TarEntry entry = reader.entry();
        int fd = rootfs.createFile(parent, path, entry.mode());
        boolean isHandedOver = false;
        try {
            boolean hasData = reader.nextData();
            boolean isWhole = hasData ? reader.dataLength() == entry.size() : entry.size() == 0;
            if (isWhole && attributes == null && !parent.inherits() && !entry.isSparse()) {
                metadata.set(layer, path.bytes(), path.length());
                metadata.set(
                        entry.mode(), (int) entry.uid(), (int) entry.gid(), entry.mtimeSeconds(), entry.mtimeNanos());
                int size = (int) entry.size();
                long address = hasData ? source.address() + reader.dataOffset() : 0;
                isHandedOver = true;
                deferred.add(fd, metadata, source, address, size);
                progress.wroteBytes(size);
                return;
            }
            if (hasData) {
                writePieces(fd, reader, source);
            }
            if (entry.isSparse()) {
                if (!hasData) {
                    progress.wroteBytes(entry.size());
                }
                Libc.ftruncate(fd, entry.size());
            }
            rootfs.finishFile(parent, fd, entry.mode(), (int) entry.uid(), (int) entry.gid());
            if (attributes != null) {
                attributes.set(fd);
            }
            rootfs.setFileTime(fd, entry.mtimeSeconds(), entry.mtimeNanos());
        } finally {
            if (!isHandedOver) {
                new Fd(fd).close();
            }
        }
    }

    /** From the piece that the reader stands at to the last; the holes of a sparse file stay holes. */
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
