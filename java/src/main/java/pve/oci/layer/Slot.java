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
 * A piece of a layer on its way through the {@link LayerPipeline}: of its blob, filled and decompressed by one thread
 * while another one hashes it; or of its uncompressed content, then hashed and applied by others. Content fills all of
 * a slot but for the last of a layer, so that no tar header straddles two.
 */
final class Slot {
    /** Of blobs, as they are stored. */
    static final NativeBufferPool BLOB_MEMORY = new NativeBufferPool(256 << 10);

    /** Of uncompressed content; a multiple of tar's 512. */
    static final int CONTENT_SIZE = 512 << 10;

    static final NativeBufferPool CONTENT_MEMORY = new NativeBufferPool(CONTENT_SIZE);

    final NativeBuffer memory;

    private final NativeBufferPool pool;

    /** Takes it when nobody reads it any more. */
    private final Consumer<Slot> free;

    /** All of them have to be done with it before it is filled again. */
    private final AtomicInteger readers = new AtomicInteger();

    int length;

    private @Nullable Layer layer;

    boolean isLast;

    /** Whether the layer is stored uncompressed, so that this content's digest is the blob's. */
    boolean isStored;

    /** Why the layer ends here, before its end. */
    @Nullable
    IOException failure;

    /** Of the last slot: what the hasher found for the whole blob, or the whole content. */
    private volatile @Nullable Digest digest;

    /** Of the last slot of the content, once it has its own: that of the blob. */
    @Nullable
    Digest blobDigest;

    Slot(NativeBufferPool pool, Consumer<Slot> free) {
        this.pool = pool;
        this.free = free;
        memory = pool.take();
    }

    boolean isOfBlob() {
        return pool == BLOB_MEMORY;
    }

    /** To be filled with a piece of that layer. */
    Slot reset(Layer ofLayer) {
        memory.buffer().clear();
        layer = ofLayer;
        isLast = false;
        isStored = false;
        failure = null;
        setDigest(null);
        blobDigest = null;
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

    /** What was filled in. */
    ByteBuffer bytes() {
        return memory.buffer().limit(length).position(0);
    }

    /** Now it has that many readers. */
    void publish(int count) {
        readers.set(count);
    }

    /** One more reader, while there is one. */
    void retain() {
        readers.incrementAndGet();
    }

    /** For the end of the pipeline, when all threads that read slots have been stopped. */
    void discard() {
        pool.give(memory);
    }

    void release() {
        if (readers.decrementAndGet() == 0) {
            free.accept(this);
        }
    }
}
