package pve.oci.layer;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Cpus;
import pve.oci.linux.NativeBufferPool;
import pve.oci.oci.Digest;

/**
 * Where the slots of a {@link LayerPipeline} wait for the next stage, and for being filled again. A thread that would
 * have to wait here takes steps of the {@link Chore}s instead, and sleeps when there is none.
 */
final class SlotQueues {
    private static final int BLOB_SLOTS = 8;
    private static final Chore NOTHING = () -> false;

    /** Work that has no thread of its own. */
    interface Chore {
        /** Takes a step; false when there is nothing to do now, or another thread is at it. */
        boolean tryStep();
    }

    private final List<Slot> all = new ArrayList<>();

    // each is guarded by this object, and so is the counter
    private final Free freeContent;
    private final Free freeBlob;
    private final Deque<Slot> toHash = new ArrayDeque<>();
    private final Deque<Slot> toApply = new ArrayDeque<>();
    private long changes;
    private boolean isBroken;

    /** The CPU that content was filled on last. */
    private volatile int filledOn = -1;

    private volatile Chore hashing = NOTHING;
    private volatile Chore writing = NOTHING;

    /**
     * @param contentSlots the most there may be; a slot's memory is {@link Slot#CONTENT_SIZE}
     * @param ready as many are made at once, others when they are needed
     */
    SlotQueues(int contentSlots, int ready) {
        freeContent = new Free(Slot.CONTENT_MEMORY, contentSlots, ready);
        freeBlob = new Free(Slot.BLOB_MEMORY, BLOB_SLOTS, Math.min(ready, BLOB_SLOTS));
    }

    /** What is waited for. */
    private interface SlotSupply<T> {
        /** The next one; null when there is none now. */
        @Nullable
        T poll();
    }

    /** Slots to be filled. What was given back last is taken first: it is in a cache. */
    private final class Free implements SlotSupply<Slot> {
        private final NativeBufferPool memory;
        private final int maximum;
        private final Deque<Slot> slots = new ArrayDeque<>();
        private int made;

        Free(NativeBufferPool memory, int maximum, int ready) {
            this.memory = memory;
            this.maximum = maximum;
            while (made < Math.min(ready, maximum)) {
                slots.add(make());
            }
        }

        private Slot make() {
            made++;
            Slot slot = new Slot(memory, this::give);
            all.add(slot);
            return slot;
        }

        private void give(Slot slot) {
            synchronized (SlotQueues.this) {
                slots.push(slot);
                changed();
            }
        }

        @Override
        public @Nullable Slot poll() {
            Slot slot = slots.poll();
            return slot == null && made < maximum ? make() : slot;
        }
    }

    /** From now on this is done by whoever would wait: the computing of digests. */
    void shareHashing(Chore chore) {
        hashing = chore;
    }

    /** From now on this is done by whoever would wait: the writing of files that have been created. */
    void shareWriting(Chore chore) {
        writing = chore;
        changed();
    }

    /** There may be something to do for those who wait. */
    synchronized void changed() {
        changes++;
        notifyAll();
    }

    private boolean help() {
        boolean hasHelped = hashing.tryStep() || writing.tryStep();
        if (hasHelped) {
            // another thread may have found nothing to do because this one was at it
            changed();
        }
        return hasHelped;
    }

    private synchronized void awaitChange(long seen) throws InterruptedException {
        while (changes == seen) {
            wait();
        }
    }

    private <T> T take(SlotSupply<T> source) throws InterruptedException {
        while (true) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            long seen;
            synchronized (this) {
                T found = source.poll();
                if (found != null) {
                    return found;
                }
                if (isBroken) {
                    throw new InterruptedException();
                }
                seen = changes;
            }
            if (!help()) {
                awaitChange(seen);
            }
        }
    }

    /** Waits for a slot of content that nobody reads any more. */
    Slot takeContent(Layer layer) throws InterruptedException {
        return take(freeContent).reset(layer);
    }

    /** Waits for a slot of a blob that nobody reads any more. */
    Slot takeBlob(Layer layer) throws InterruptedException {
        return take(freeBlob).reset(layer);
    }

    /** Hands filled content to the hasher and to whoever applies it. */
    void publishContent(Slot slot) {
        slot.length = slot.memory.buffer().position();
        filledOn = Cpus.current();
        slot.publish(2);
        synchronized (this) {
            toHash.add(slot);
            toApply.add(slot);
            changed();
        }
    }

    /** Hands a piece of a blob to the hasher; whoever filled it goes on reading it, and releases it. */
    void publishBlob(Slot slot) {
        slot.publish(2);
        synchronized (this) {
            toHash.add(slot);
            changed();
        }
    }

    /** Waits for the next slot to hash. A blob's pieces come before the content that was decompressed from them. */
    Slot takeToHash() throws InterruptedException {
        return take(toHash::poll);
    }

    /** The next slot to hash, null when there is none now. */
    @Nullable
    synchronized Slot pollToHash() {
        return toHash.poll();
    }

    /** Waits for the next slot to apply. */
    Slot takeToApply() throws InterruptedException {
        return take(toApply::poll);
    }

    /** Where the thread runs that fills slots. */
    int filledOn() {
        return filledOn;
    }

    /** Waits for what the hasher finds. */
    Digest awaitDigest(Slot last) throws InterruptedException {
        return take(last::digest);
    }

    /** For a thread that has nothing else to do: helps until it is interrupted. */
    void helpOn() throws InterruptedException {
        take(() -> null);
    }

    /** Interrupts whoever waits: one of the threads has ended before its time. */
    synchronized void breakDown() {
        isBroken = true;
        changed();
    }

    /** For the end of the pipeline, when all threads that read slots have been stopped. */
    void discard() {
        all.forEach(Slot::discard);
    }
}
