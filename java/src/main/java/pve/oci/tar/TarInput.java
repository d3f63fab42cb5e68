package pve.oci.tar;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Position of a {@link TarReader} in its source: walks from buffer to buffer and counts bytes. */
final class TarInput {
    static final int BLOCK_SIZE = 512;
    private static final ByteBuffer EMPTY = ByteBuffer.allocate(0);

    private final TarSource source;
    private ByteBuffer buffer = EMPTY;
    private int position;
    private int limit;
    // offset in the archive of index 0 of the current buffer
    private long bufferOffset;
    private boolean ended;

    TarInput(TarSource source) {
        this.source = source;
    }

    /** Offset in the archive of the next byte. */
    long offset() {
        return bufferOffset + position;
    }

    ByteBuffer buffer() {
        return buffer;
    }

    /** Index of the next byte in the buffer. */
    int position() {
        return position;
    }

    /** How many bytes the current buffer still has. */
    int available() {
        return limit - position;
    }

    void consume(int count) {
        position += count;
    }

    /** Makes sure that a byte is available; false at the end of the archive. */
    boolean fill() throws IOException {
        while (position == limit) {
            if (ended) {
                return false;
            }
            long offset = offset();
            if (source.advance()) {
                buffer = source.buffer();
                position = buffer.position();
                limit = buffer.limit();
                bufferOffset = offset - position;
            } else {
                ended = true;
                buffer = EMPTY;
                position = 0;
                limit = 0;
                bufferOffset = offset;
            }
        }
        return true;
    }

    /** Reads one block; fewer bytes than 512 only at the end of the archive. */
    int readBlock(byte[] block) throws IOException {
        if (!fill()) {
            return 0;
        }
        int count = Math.min(available(), BLOCK_SIZE);
        buffer.get(position, block, 0, count);
        position += count;
        if (count < BLOCK_SIZE && fill()) {
            throw new IllegalStateException("a buffer of the source is no multiple of 512 bytes");
        }
        return count;
    }

    /**
     * Reads the content of an extension header.
     *
     * @param into used when it is large enough; grows with what is there, not with what size claims
     * @return the array with the content: into or a larger one
     */
    byte[] readContent(byte[] into, int size, String of) throws IOException {
        byte[] content = into;
        int count = 0;
        while (count < size) {
            if (!fill()) {
                throw truncated(of);
            }
            int piece = Math.min(available(), size - count);
            if (piece > content.length - count) {
                content = Arrays.copyOf(content, Math.min(size, Math.max(count + piece, 2 * content.length)));
            }
            buffer.get(position, content, count, piece);
            position += piece;
            count += piece;
        }
        skipPadding(size);
        return content;
    }

    /** Skips content that must be there. */
    void skip(long size, String of) throws IOException {
        long left = size;
        while (left > 0) {
            if (position == limit && left > BLOCK_SIZE) {
                long skipped = source.skip(left);
                bufferOffset += skipped;
                left -= skipped;
            }
            if (left > 0) {
                if (!fill()) {
                    throw truncated(of);
                }
                int piece = (int) Math.min(available(), left);
                position += piece;
                left -= piece;
            }
        }
    }

    /**
     * Skips the padding after an entry's content. An archive without end blocks may end before it; nothing of the entry
     * is lost then.
     */
    void skipPadding(long size) throws IOException {
        int padding = (int) -size & (BLOCK_SIZE - 1);
        if (padding > 0 && fill()) {
            position += Math.min(padding, available());
        }
    }

    /** Takes every byte that is left. */
    void drain() throws IOException {
        while (fill()) {
            position = limit;
        }
    }

    TarFormatException truncated(String in) {
        return new TarFormatException(offset(), "truncated, ends in " + in);
    }
}
