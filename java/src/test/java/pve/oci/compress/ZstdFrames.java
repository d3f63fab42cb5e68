package pve.oci.compress;

import java.io.ByteArrayOutputStream;

/** zstd frames as a test wants them (RFC 8878). */
public final class ZstdFrames {
    private static final int MAXIMUM_BLOCK_SIZE = 128 << 10;

    private ZstdFrames() {}

    /**
     * A frame of raw blocks, with a window descriptor instead of the content's size (section 3.1.1.1.2).
     *
     * @param windowLog binary logarithm of the window that the frame asks for
     */
    public static byte[] withWindowLog(byte[] content, int windowLog) {
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        frame.writeBytes(new byte[] {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd, 0, (byte) ((windowLog - 10) << 3)});
        for (int start = 0; start < content.length; start += MAXIMUM_BLOCK_SIZE) {
            int size = Math.min(MAXIMUM_BLOCK_SIZE, content.length - start);
            int isLast = start + size == content.length ? 1 : 0;
            int header = (size << 3) | isLast;
            frame.writeBytes(new byte[] {(byte) header, (byte) (header >> 8), (byte) (header >> 16)});
            frame.write(content, start, size);
        }
        return frame.toByteArray();
    }
}
