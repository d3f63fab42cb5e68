package pve.oci.archive;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarLimits;
import pve.oci.tar.TarReader;
import pve.oci.tar.TarSource;

/** An uncompressed archive: indexed by seeking from header to header, its blobs read where they are. */
final class TarArchive implements ImageFiles {
    /** Content up to this size is read over; to get beyond a larger one, the reading goes on behind it. */
    private static final int READ_OVER_SIZE = 16 << 10;

    private static final int BLOCK = 512;

    private final Fd fd;
    private final long size;
    private final TarIndex index = new TarIndex();

    /** Takes the descriptor over. */
    TarArchive(Fd fd, long size) throws IOException {
        this.fd = fd;
        this.size = size;
        NativeBuffer memory = NativeBuffer.allocate(READ_OVER_SIZE);
        long base = 0;
        while (base >= 0) {
            base = readFrom(base, memory);
        }
    }

    /** Reads entries up to the next large content; returns where it ends, or -1 at the archive's end. */
    private long readFrom(long base, NativeBuffer memory) throws IOException {
        TarReader reader = new TarReader(new Source(fd, base, memory), TarLimits.DEFAULT);
        while (reader.next()) {
            TarEntry entry = reader.entry();
            if (!index.add(entry, base)) {
                return -1;
            }
            long content = base + entry.contentOffset();
            if (entry.size() > size - content && !entry.isSparse()) {
                throw ImageException.of("MalformedArchive")
                        .with("offset", base + entry.offset())
                        .message("archive is truncated: the entry at offset " + (base + entry.offset()) + " claims "
                                + entry.size() + " bytes, " + Math.max(0, size - content) + " are left");
            }
            if (entry.size() > READ_OVER_SIZE && !entry.isSparse()) {
                return content + (entry.size() + BLOCK - 1) / BLOCK * BLOCK;
            }
        }
        return -1;
    }

    @Override
    public @Nullable Long size(String name) throws IOException {
        TarIndex.Entry entry = index.file(name);
        return entry == null ? null : entry.size();
    }

    @Override
    public @Nullable String otherType(String name) {
        TarIndex.Entry entry = index.any(name);
        return entry == null ? null : TarIndex.describe(entry.type());
    }

    @Override
    public boolean isEmpty() {
        return index.isEmpty();
    }

    @Override
    public BlobSource open(String name) throws IOException {
        TarIndex.Entry entry = index.file(name);
        if (entry == null) {
            throw new IllegalArgumentException("not in the archive: " + name);
        }
        return new FileBlob(fd, entry.offset(), entry.size(), false);
    }

    @Override
    public void close() {
        fd.close();
    }

    /** The archive from some offset on, in pieces that are multiples of tar's block size. */
    private static final class Source implements TarSource {
        private final Fd fd;
        private final NativeBuffer memory;
        private long offset;

        Source(Fd fd, long offset, NativeBuffer memory) {
            this.fd = fd;
            this.offset = offset;
            this.memory = memory;
            memory.buffer().position(0).limit(0);
        }

        @Override
        public boolean advance() throws IOException {
            int length = FileBlob.readFully(fd, memory.address(), memory.size(), offset);
            offset += length;
            memory.buffer().position(0).limit(length);
            return length > 0;
        }

        @Override
        public ByteBuffer buffer() {
            return memory.buffer();
        }
    }
}
