package pve.oci.layer;

import java.io.IOException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.Rootfs;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarReader;

/** Writes the content of regular files, straight from the memory it was decompressed into. */
final class FileWriter {
    private final Rootfs rootfs;
    private final Progress progress;

    FileWriter(Rootfs rootfs, Progress progress) {
        this.rootfs = rootfs;
        this.progress = progress;
    }

    int create(Directory parent, EntryPath path, TarEntry entry) throws IOException {
        return rootfs.createFile(parent, path, entry.mode());
    }

    /** Writes all of the entry's content; the holes of a sparse file stay holes. */
    void write(int fd, TarReader reader, TarEntry entry, LayerPipeline source) throws IOException {
        long written = 0;
        long content = 0;
        while (reader.nextData()) {
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
        }
        if (entry.isSparse()) {
            Libc.ftruncate(fd, entry.size());
            progress.wroteBytes(entry.size() - content);
        }
    }

    void close(int fd) {
        new Fd(fd).close();
    }
}
