package pve.oci.archive;

import java.io.IOException;
import java.nio.ByteBuffer;
import pve.oci.linux.Fd;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarLimits;
import pve.oci.tar.TarReader;
import pve.oci.tar.TarSource;

/**
 * An uncompressed archive. The index is made from header to header, without reading the blobs. Later they are read from
 * their place in the file.
 */
final class TarArchive extends IndexedArchive {
    /**
     * Bytes that are read at a time: enough for a small document and its header at once, and so few that little is read
     * of a blob that is skipped.
     */
    private static final int PIECE_SIZE = 16 << 10;

    private static final int BLOCK = 512;

    private final long size;

    /** Takes the descriptor over. */
    TarArchive(Fd fd, long size) throws IOException {
        super(fd);
        this.size = size;
        TarReader reader = TarReader.ofArchive(new ArchiveBytes(fd), TarLimits.DEFAULT);
        boolean goesOn = true;
        while (goesOn && reader.next()) {
            checkSize(reader.entry());
            goesOn = index.add(reader.entry());
        }
    }

    /** Checks that the content ends within the file: it is not read here, so the reader would not notice. */
    private void checkSize(TarEntry entry) throws ImageException {
        long left = size - entry.contentOffset();
        if (entry.size() > left && !entry.isSparse()) {
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .with("offset", entry.offset())
                    .message("archive is truncated: the entry at offset " + entry.offset() + " claims " + entry.size()
                            + " bytes, " + Math.max(0, left) + " are left");
        }
    }

    @Override
    BlobSource open(TarIndex.IndexEntry entry) {
        return new FileBlob(fd, entry.offset(), entry.size(), false);
    }

    /** The archive in pieces that are multiples of tar's block size. What the reader skips is not read. */
    private static final class ArchiveBytes implements TarSource {
        private final Fd fd;
        private final NativeBuffer memory = NativeBuffer.allocate(PIECE_SIZE);
        private long offset;

        ArchiveBytes(Fd fd) {
            this.fd = fd;
        }

        @Override
        public boolean advance() throws IOException {
            int length = FileBlob.readFully(fd, memory.address(), memory.size(), offset);
            offset += length;
            memory.buffer().position(0).limit(length);
            return length > 0;
        }

        @Override
        public long skip(long count) {
            long skipped = count / BLOCK * BLOCK;
            offset += skipped;
            return skipped;
        }

        @Override
        public ByteBuffer buffer() {
            return memory.buffer();
        }
    }
}
