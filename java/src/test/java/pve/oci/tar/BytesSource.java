package pve.oci.tar;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * An archive in memory, in direct buffers of a given size. A buffer that was given back is overwritten, so that a
 * reader that still looks at it is found out.
 */
public final class BytesSource implements TarSource {
    private static final int LEAD = 24;

    private final byte[] archive;
    private final int bufferSize;
    private ByteBuffer buffer = ByteBuffer.allocateDirect(0);
    private int position;

    public BytesSource(byte[] archive, int bufferSize) {
        this.archive = archive;
        this.bufferSize = bufferSize;
    }

    @Override
    public boolean advance() {
        byte[] poison = new byte[buffer.capacity()];
        Arrays.fill(poison, (byte) 0xa5);
        buffer.clear().put(poison);
        if (position == archive.length) {
            return false;
        }
        int count = Math.min(bufferSize, archive.length - position);
        // the valid bytes need not begin at index 0
        buffer = ByteBuffer.allocateDirect(LEAD + count);
        buffer.put(LEAD, archive, position, count).position(LEAD);
        position += count;
        return true;
    }

    @Override
    public ByteBuffer buffer() {
        return buffer;
    }

    /** How much of the archive was made a buffer. */
    public int consumed() {
        return position;
    }
}
