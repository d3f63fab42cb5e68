package pve.oci.layer;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import pve.oci.archive.BlobSource;
import pve.oci.linux.NativeBuffer;

/** Bytes in memory as a blob that counts whether it was closed. */
final class MemoryBlob implements BlobSource {
    /** How far it was read. */
    final AtomicInteger at = new AtomicInteger();

    private final byte[] bytes;
    private final long claimed;
    private final AtomicInteger open;

    /**
     * Opens one.
     *
     * @param claimed the size that it claims to have
     * @param open counts the blobs that are open
     * @param opened all blobs so far
     */
    MemoryBlob(byte[] bytes, long claimed, AtomicInteger open, List<MemoryBlob> opened) {
        this.bytes = bytes;
        this.claimed = claimed;
        this.open = open;
        open.incrementAndGet();
        opened.add(this);
    }

    @Override
    public long size() {
        return claimed;
    }

    @Override
    public int read(NativeBuffer into) throws IOException {
        int length = Math.min(bytes.length - at.get(), into.size());
        into.buffer().put(0, bytes, at.getAndAdd(length), length);
        return length;
    }

    @Override
    public void close() {
        open.decrementAndGet();
    }
}
