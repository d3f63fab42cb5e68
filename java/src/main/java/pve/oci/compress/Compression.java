package pve.oci.compress;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * How a blob is compressed. Its first bytes decide, because media types are often wrong; the diff ID is checked in the
 * end.
 */
public enum Compression {
    NONE,
    GZIP,
    ZSTD;

    /** How many bytes {@link #detect} looks at; fewer are enough at the end of a short blob. */
    public static final int MAGIC_SIZE = 10;

    private static final int ZSTD_MAGIC = 0xfd2fb528;
    private static final int ZSTD_SKIPPABLE_MAGIC = 0x184d2a50;
    private static final byte[] BZIP2_BLOCK = {0x31, 0x41, 0x59, 0x26, 0x53, 0x59};
    private static final byte[] BZIP2_END = {0x17, 0x72, 0x45, 0x38, 0x50, (byte) 0x90};

    /** Long enough not to be the beginning of the first name in a tar archive. */
    private static final class Magic {
        private final String name;
        private final int[] bytes;

        Magic(String name, int... bytes) {
            this.name = name;
            this.bytes = bytes;
        }

        boolean matches(byte[] start) {
            if (start.length < bytes.length) {
                return false;
            }
            for (int i = 0; i < bytes.length; i++) {
                if ((start[i] & 0xff) != bytes[i]) {
                    return false;
                }
            }
            return true;
        }
    }

    private static final Magic[] UNSUPPORTED = {
        new Magic("xz", 0xfd, '7', 'z', 'X', 'Z', 0),
        new Magic("lz4", 0x04, 0x22, 0x4d, 0x18),
        new Magic("lz4 (legacy frames)", 0x02, 0x21, 0x4c, 0x18),
        new Magic("lzip", 'L', 'Z', 'I', 'P', 1),
        new Magic("lzma", 0x5d, 0, 0),
        new Magic("lzop", 0x89, 'L', 'Z', 'O', 0),
        new Magic("compress", 0x1f, 0x9d),
        new Magic("zip", 'P', 'K', 3, 4),
        new Magic("zip (empty)", 'P', 'K', 5, 6),
        new Magic("7z", '7', 'z', 0xbc, 0xaf, 0x27, 0x1c),
    };

    /**
     * Detects the compression by its magic number. Without a known one it is taken for an uncompressed tar archive.
     *
     * @param firstBytes of the blob, from position to limit; all of a shorter blob, {@link #MAGIC_SIZE} of a longer
     *     one; left as it is
     */
    public static Compression detect(ByteBuffer firstBytes) throws UnsupportedCompressionException {
        byte[] start = new byte[Math.min(firstBytes.remaining(), MAGIC_SIZE)];
        firstBytes.get(firstBytes.position(), start);
        if (start.length >= 2 && start[0] == 0x1f && start[1] == (byte) 0x8b) {
            return GZIP;
        }
        if (start.length >= 4) {
            int magic = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).getInt();
            // a blob may begin with a skippable frame (zstd format, Skippable Frames)
            if (magic == ZSTD_MAGIC || (magic & ~0xf) == ZSTD_SKIPPABLE_MAGIC) {
                return ZSTD;
            }
        }
        for (Magic magic : UNSUPPORTED) {
            if (magic.matches(start)) {
                throw new UnsupportedCompressionException(magic.name);
            }
        }
        if (isBzip2(start)) {
            throw new UnsupportedCompressionException("bzip2");
        }
        return NONE;
    }

    // "BZh9" alone might be a name
    private static boolean isBzip2(byte[] start) {
        return start.length == MAGIC_SIZE
                && start[0] == 'B'
                && start[1] == 'Z'
                && start[2] == 'h'
                && start[3] >= '1'
                && start[3] <= '9'
                && (Arrays.equals(start, 4, MAGIC_SIZE, BZIP2_BLOCK, 0, BZIP2_BLOCK.length)
                        || Arrays.equals(start, 4, MAGIC_SIZE, BZIP2_END, 0, BZIP2_END.length));
    }
}
