package pve.oci.layer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.NativeBufferPool;
import pve.oci.oci.Digest;

/**
 * A piece of a layer on its way through the {@link LayerPipeline}. It holds either a piece of the blob, which one
 * thread reads and decompresses while another hashes it, or a piece of the uncompressed content, which is then hashed
 * and applied. All slots of content are filled to a multiple of 512 bytes, except for a layer's last, so that no tar
 * header lies in two slots.
 */
final class Slot {
    /** For pieces of blobs, as they are stored. */
    static final NativeBufferPool BLOB_MEMORY = new NativeBufferPool(256 << 10);

    /** Bytes of uncompressed content in a slot; a multiple of 512, the size of a tar block. */
    static final int CONTENT_SIZE = 512 << 10;

    static final NativeBufferPool CONTENT_MEMORY = new NativeBufferPool(CONTENT_SIZE);

    final NativeBuffer memory;

    private final NativeBufferPool pool;

    /** Is given the slot when its last reader releases it. */
    private final Consumer<Slot> free;

    /** How many stages still read this slot. It may be filled again when there are none. */
    private final AtomicInteger readers = new AtomicInteger();

    int length;

    private @Nullable Layer layer;

    boolean isLast;

    /** Whether the content is the blob itself, stored uncompressed, so that its digest is the blob's. */
    boolean isStored;

    /** Why reading the layer failed here; null if it did not. */
    @Nullable
    IOException failure;

    /** In the last slot: the digest of the whole blob, or of the whole content. */
    private volatile @Nullable Digest digest;

    /** In the last slot of the content: the last piece of the blob, which is kept until its digest is there. */
    @Nullable
    Slot blobEnd;

    Slot(NativeBufferPool pool, Consumer<Slot> free) {
        this.pool = pool;
        this.free = free;
        memory = pool.take();
    }

    boolean isOfBlob() {
        return pool == BLOB_MEMORY;
    }

    /** Empties the slot, to be filled with a piece of that layer. */
    Slot reset(Layer ofLayer) {
        memory.buffer().clear();
        layer = ofLayer;
        isLast = false;
        isStored = false;
        failure = null;
        setDigest(null);
        blobEnd = null;
        return this;
    }

    Layer layer() {
        if (layer == null) {
            throw new IllegalStateException("the slot is not of a layer");
        }
        return layer;
    }

    void setDigest(@Nullable Digest found) {
        digest = found;
    }

    @Nullable
    Digest digest() {
        return digest;
    }

    /** The bytes that were filled in. */
    ByteBuffer bytes() {
        return memory.buffer().limit(length).position(0);
    }

    /** Sets the number of readers. */
    void publish(int count) {
        readers.set(count);
    }

    /** Adds a reader. Only a current reader may call this. */
    void retain() {
        readers.incrementAndGet();
    }

    /** Gives the memory back. Call it only when every thread that reads slots has stopped. */
    void discard() {
        pool.give(memory);
    }

    void release() {
        if (readers.decrementAndGet() == 0) {
            free.accept(this);
        }
    }
}
