package pve.oci.compress;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalLong;

/**
 * The uncompressed size that a blob states in its first or last bytes. Nobody has checked it, and a blob of several
 * members or frames states that of one of them. So it is good enough to be shown, but nothing may rely on it.
 */
public final class ClaimedSize {
    /** How many of a blob's first and last bytes are enough. */
    public static final int BYTES = 18;

    private static final int GZIP_TRAILER = 4;
    private static final int ZSTD_MAGIC = 0xfd2fb528;

    private ClaimedSize() {}

    /**
     * The stated size. Empty if none is stated, or if it is smaller than the blob and so must be that of a part.
     *
     * @param end the last bytes of the blob, none where they are not known
     * @param size of the blob as stored
     */
    public static OptionalLong of(Compression compression, ByteBuffer start, ByteBuffer end, long size) {
        OptionalLong claimed = switch (compression) {
            case NONE -> OptionalLong.of(size);
            case GZIP -> ofGzip(end);
            case ZSTD -> ofZstd(start);
        };
        return claimed.isPresent() && claimed.getAsLong() >= size ? claimed : OptionalLong.empty();
    }

    /** RFC 1952, ISIZE: modulo 2^32, of the last member. */
    private static OptionalLong ofGzip(ByteBuffer end) {
        if (end.remaining() < GZIP_TRAILER) {
            return OptionalLong.empty();
        }
        ByteBuffer trailer = end.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        return OptionalLong.of(Integer.toUnsignedLong(trailer.getInt(trailer.limit() - GZIP_TRAILER)));
    }

    /** RFC 8878, 3.1.1.1: Frame_Content_Size of the first frame. */
    private static OptionalLong ofZstd(ByteBuffer start) {
        // if the blob is shorter than the longest header, the rest is zeros, which no complete header uses
        ByteBuffer header = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
        header.put(start.duplicate()).rewind();
        if (header.getInt() != ZSTD_MAGIC) {
            return OptionalLong.empty();
        }
        int descriptor = header.get();
        boolean isSingleSegment = (descriptor & 0x20) != 0;
        int window = isSingleSegment ? 0 : 1;
        int dictionary = (1 << (descriptor & 3)) >> 1;
        header.position(header.position() + window + dictionary);
        return switch (descriptor >> 6 & 3) {
            case 0 -> isSingleSegment ? OptionalLong.of(header.get() & 0xff) : OptionalLong.empty();
            case 1 -> OptionalLong.of((header.getShort() & 0xffff) + 256L);
            case 2 -> OptionalLong.of(Integer.toUnsignedLong(header.getInt()));
            default -> {
                long size = header.getLong();
                yield size < 0 ? OptionalLong.empty() : OptionalLong.of(size);
            }
        };
    }
}
