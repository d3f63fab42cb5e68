package pve.oci.archive;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import pve.oci.compress.Compression;
import pve.oci.linux.Fd;
import pve.oci.linux.NativeBuffer;
import pve.oci.tar.TarLimits;
import pve.oci.tar.TarReader;

/**
 * An archive that is compressed as a whole, so one cannot seek in it. It is decompressed once for the index, and again
 * for the files. A file that lies before the one read last makes it start from the front once more. Nothing
 * decompressed is stored.
 */
final class CompressedTarArchive extends IndexedArchive {
    private final Compression compression;
    private final int zstdWindowLog;
    private @Nullable DecompressedFile stream;

    /** Takes the descriptor over. */
    CompressedTarArchive(Fd fd, Compression compression, int zstdWindowLog) throws IOException {
        super(fd);
        this.compression = compression;
        this.zstdWindowLog = zstdWindowLog;
        try (DecompressedFile reading = new DecompressedFile(fd, compression, zstdWindowLog)) {
            TarReader reader = TarReader.ofArchive(reading, TarLimits.DEFAULT);
            boolean goesOn = true;
            while (goesOn && reader.next()) {
                goesOn = index.add(reader.entry());
            }
        }
    }

    @Override
    BlobSource open(TarIndex.IndexEntry entry) throws IOException {
        DecompressedFile reading = stream;
        if (reading == null || reading.position() > entry.offset()) {
            closeStream();
            reading = new DecompressedFile(fd, compression, zstdWindowLog);
            stream = reading;
        }
        reading.skipTo(entry.offset());
        return new StreamBlob(reading, entry.size());
    }

    @Override
    public boolean isStream() {
        return true;
    }

    private void closeStream() {
        if (stream != null) {
            stream.close();
            stream = null;
        }
    }

    @Override
    public void close() {
        closeStream();
        super.close();
    }

    /** The next bytes of the stream. */
    private static final class StreamBlob implements BlobSource {
        private final DecompressedFile stream;
        private final long size;
        private long left;

        StreamBlob(DecompressedFile stream, long size) {
            this.stream = stream;
            this.size = size;
            this.left = size;
        }

        @Override
        public long size() {
            return size;
        }

        @Override
        public int read(NativeBuffer into) throws IOException {
            // a duplicate: callers may hold a position in the buffer itself
            ByteBuffer to = into.buffer().duplicate().clear().limit((int) Math.min(into.size(), left));
            while (to.hasRemaining()) {
                if (!stream.buffer().hasRemaining() && !stream.advance()) {
                    break;
                }
                ByteBuffer from = stream.buffer();
                ByteBuffer piece = from.slice(from.position(), Math.min(from.remaining(), to.remaining()));
                from.position(from.position() + piece.remaining());
                to.put(piece);
            }
            left -= to.position();
            return to.position();
        }

        @Override
        public void close() {
            // the stream is read on by the next file
        }
    }
}
