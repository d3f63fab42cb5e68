package pve.oci.layer;

import java.io.IOException;
import java.util.Queue;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.NativeBufferPool;
import pve.oci.oci.Digest;

/**
 * A piece of a layer's uncompressed bytes on its way through the {@link LayerPipeline}: filled by one thread, then hashed
 * and applied by others. Always full, but for the last of a layer, so that no tar header straddles two.
 */
final class Slot {
    /** A multiple of tar's 512. */
    static final int SIZE = 512 << 10;

    private static final NativeBufferPool POOL = new NativeBufferPool(SIZE);

    final NativeBuffer memory = POOL.take();

    /** Where it goes when nobody reads it any more. */
    private final Queue<Slot> free;

    /** All of them have to be done with it before it is filled again. */
    private final AtomicInteger readers = new AtomicInteger();

    int length;

    @Nullable
    Layer layer;

    boolean isLast;

    /** Why the layer ends here, before its end. */
    @Nullable
    IOException failure;

    /** Of the last slot: what the hashing thread found for the whole layer. */
    volatile @Nullable Digest contentDigest;

    Slot(Queue<Slot> free) {
        this.free = free;
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
        POOL.give(memory);
    }

    void release() {
        if (readers.decrementAndGet() == 0) {
            free.add(this);
        }
    }
}
