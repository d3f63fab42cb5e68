package pve.oci.archive;

import java.io.IOException;
import java.nio.ByteBuffer;
import pve.oci.compress.Compression;
import pve.oci.compress.Decompressor;
import pve.oci.compress.Decompressors;
import pve.oci.compress.WindowLimitException;
import pve.oci.linux.Fd;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarSource;

/** A compressed file as a stream of its uncompressed bytes. */
final class DecompressedFile implements TarSource, AutoCloseable {
    /**
     * Allowed ratio of uncompressed to compressed size. gzip cannot reach it; zstd could make terabytes of zeros from a
     * few bytes.
     */
    private static final long MAXIMUM_RATIO = 2000;

    private static final long RATIO_FREE_SIZE = 1L << 30;

    private final Fd fd;
    private final NativeBuffer input = NativeBuffer.allocate(256 << 10);
    private final NativeBuffer output = NativeBuffer.allocate(512 << 10);
    private final Decompressor decompressor;
    private long compressed;
    private long uncompressed;
    private boolean isAtEnd;

    /**
     * @param fd the file; the caller closes it
     * @param zstdWindowLog binary logarithm of the largest window that a zstd frame may have
     */
    DecompressedFile(Fd fd, Compression compression, int zstdWindowLog) {
        this.fd = fd;
        decompressor = Decompressors.of(compression, zstdWindowLog);
        input.buffer().limit(0);
        output.buffer().limit(0);
    }

    /** Offset of the next byte. */
    long position() {
        return uncompressed - output.buffer().remaining();
    }

    @Override
    public boolean advance() throws IOException {
        ByteBuffer out = output.buffer().clear();
        while (out.hasRemaining() && !isAtEnd) {
            ByteBuffer in = input.buffer();
            decompress(in, out);
            if (out.hasRemaining() && !in.hasRemaining()) {
                int length = FileBlob.readFully(fd, input.address(), input.size(), compressed);
                compressed += length;
                in.position(0).limit(length);
                isAtEnd = length == 0;
            }
        }
        if (isAtEnd) {
            decompressor.finish();
        }
        out.flip();
        uncompressed += out.remaining();
        if (uncompressed > RATIO_FREE_SIZE && uncompressed / compressed > MAXIMUM_RATIO) {
            throw ImageException.limit("archiveRatio", MAXIMUM_RATIO)
                    .exceeded("archive decompresses to too many times its size");
        }
        return out.hasRemaining();
    }

    private void decompress(ByteBuffer in, ByteBuffer out) throws IOException {
        try {
            decompressor.decompress(in, out);
        } catch (WindowLimitException e) {
            throw ImageException.limit("zstdWindowLog", e.maximum()).cause(e).exceeded("archive: " + e.getMessage());
        }
    }

    @Override
    public ByteBuffer buffer() {
        return output.buffer();
    }

    /** Reads on to an offset, which must not lie before {@link #position}. */
    void skipTo(long offset) throws IOException {
        while (position() < offset) {
            ByteBuffer out = output.buffer();
            int skipped = (int) Math.min(out.remaining(), offset - position());
            out.position(out.position() + skipped);
            if (!out.hasRemaining() && !advance()) {
                return;
            }
        }
    }

    @Override
    public void close() {
        decompressor.close();
    }
}
