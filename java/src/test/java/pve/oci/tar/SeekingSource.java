package pve.oci.tar;

import java.nio.ByteBuffer;

/** An archive in memory, in blocks of 1024 bytes, that can be skipped. */
final class SeekingSource implements TarSource {
    private static final int SIZE = 1024;

    private final byte[] archive;
    private ByteBuffer buffer = ByteBuffer.allocateDirect(0);
    private int position;
    int read;

    SeekingSource(byte[] archive) {
        this.archive = archive;
    }

    @Override
    public boolean advance() {
        int count = Math.min(SIZE, archive.length - position);
        buffer = ByteBuffer.allocateDirect(count).put(archive, position, count).flip();
        position += count;
        read += count;
        return count > 0;
    }

    @Override
    public ByteBuffer buffer() {
        return buffer;
    }

    @Override
    public long skip(long count) {
        long skipped = Math.min(count, archive.length - position) & -512;
        position += (int) skipped;
        return skipped;
    }
}
