package pve.oci.layer;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.NativeBufferPool;
import pve.oci.oci.Digest;

/** Where the slots of a {@link LayerPipeline} wait for the next stage, and for being filled again. */
final class SlotQueues {
    private static final int CONTENT_SLOTS = 16;
    private static final int BLOB_SLOTS = 8;

    private final List<Slot> all = new ArrayList<>();
    private final BlockingQueue<Slot> freeContent = new ArrayBlockingQueue<>(CONTENT_SLOTS);
    private final BlockingQueue<Slot> freeBlob = new ArrayBlockingQueue<>(BLOB_SLOTS);
    private final BlockingQueue<Slot> toHash = new ArrayBlockingQueue<>(CONTENT_SLOTS + BLOB_SLOTS);
    private final BlockingQueue<Slot> toApply = new ArrayBlockingQueue<>(CONTENT_SLOTS);

    /** Null when hashing has a thread of its own. */
    private @Nullable LayerHasher helped;

    SlotQueues() {
        fill(freeContent, CONTENT_SLOTS, Slot.CONTENT_MEMORY);
        fill(freeBlob, BLOB_SLOTS, Slot.BLOB_MEMORY);
    }

    private void fill(BlockingQueue<Slot> queue, int count, NativeBufferPool memory) {
        for (int i = 0; i < count; i++) {
            Slot slot = new Slot(memory, queue);
            all.add(slot);
            queue.add(slot);
        }
    }

    /** Whoever would have to wait for a slot takes steps of that hasher instead, as long as there are some. */
    void helpInsteadOfWaiting(LayerHasher hasher) {
        helped = hasher;
    }

    private Slot take(BlockingQueue<Slot> queue) throws InterruptedException {
        Slot slot = queue.poll();
        while (slot == null && helped != null && helped.tryStep()) {
            slot = queue.poll();
        }
        return slot == null ? queue.take() : slot;
    }

    /** Waits for a slot of content that nobody reads any more. */
    Slot takeContent(Layer layer) throws InterruptedException {
        return take(freeContent).reset(layer);
    }

    /** Waits for a slot of a blob that nobody reads any more. */
    Slot takeBlob(Layer layer) throws InterruptedException {
        Slot slot = freeBlob.poll();
        // only hashing gives them back, so there is nothing else to wait for
        while (slot == null && helped != null && helped.step()) {
            slot = freeBlob.poll();
        }
        return (slot == null ? freeBlob.take() : slot).reset(layer);
    }

    /** Hands filled content to the hasher and to whoever applies it. */
    void publishContent(Slot slot) throws InterruptedException {
        slot.length = slot.memory.buffer().position();
        slot.publish(2);
        toHash.put(slot);
        toApply.put(slot);
    }

    /** Hands a piece of a blob to the hasher; whoever filled it goes on reading it, and releases it. */
    void publishBlob(Slot slot) throws InterruptedException {
        slot.publish(2);
        toHash.put(slot);
    }

    /** Waits for the next slot to hash. A blob's pieces come before the content that was decompressed from them. */
    Slot takeToHash() throws InterruptedException {
        return toHash.take();
    }

    /** The next slot to hash, null when there is none now. */
    @Nullable
    Slot pollToHash() {
        return toHash.poll();
    }

    /** Waits for the next slot to apply. */
    Slot takeToApply() throws InterruptedException {
        return take(toApply);
    }

    /** Waits for what the hasher finds; null when that takes longer. */
    @Nullable
    Digest awaitDigest(Slot last, long milliseconds) throws InterruptedException {
        while (helped != null && last.digest() == null && helped.step()) {
            // until it is hashed
        }
        return last.awaitDigest(milliseconds);
    }

    /** Wakes whoever waits for a slot to apply, when there will be none. */
    void wakeApplying() {
        toApply.offer(all.get(0));
    }

    /** For the end of the pipeline, when all threads that read slots have been stopped. */
    void discard() {
        all.forEach(Slot::discard);
    }
}
