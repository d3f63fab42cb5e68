package pve.oci.layer;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import pve.oci.linux.NativeBufferPool;

/** Where the slots of a {@link LayerPipeline} wait for the next stage, and for being filled again. */
final class SlotQueues {
    private static final int CONTENT_SLOTS = 8;
    private static final int BLOB_SLOTS = 4;

    private final List<Slot> all = new ArrayList<>();
    private final BlockingQueue<Slot> freeContent = new ArrayBlockingQueue<>(CONTENT_SLOTS);
    private final BlockingQueue<Slot> freeBlob = new ArrayBlockingQueue<>(BLOB_SLOTS);
    private final BlockingQueue<Slot> toHash = new ArrayBlockingQueue<>(CONTENT_SLOTS + BLOB_SLOTS);
    private final BlockingQueue<Slot> toApply = new ArrayBlockingQueue<>(CONTENT_SLOTS);

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

    /** Waits for a slot of content that nobody reads any more. */
    Slot takeContent(Layer layer) throws InterruptedException {
        return freeContent.take().reset(layer);
    }

    /** Waits for a slot of a blob that nobody reads any more. */
    Slot takeBlob(Layer layer) throws InterruptedException {
        return freeBlob.take().reset(layer);
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

    /** Waits for the next slot to apply. */
    Slot takeToApply() throws InterruptedException {
        return toApply.take();
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
