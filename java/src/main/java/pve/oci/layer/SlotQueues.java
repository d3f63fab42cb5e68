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
 * The queues in which the slots of a {@link LayerPipeline} wait for the next stage, or to be filled again. A thread
 * that finds its queue empty does a step of a {@link Chore} instead, and sleeps only when no chore has anything to do.
 */
final class SlotQueues {
    private static final int BLOB_SLOTS = 8;
    private static final Chore NOTHING = () -> false;

    /** Work that has no thread of its own. */
    interface Chore {
        /** Does one step; false if there is nothing to do right now, or another thread is already doing it. */
        boolean tryStep();
    }

    private final List<Slot> all = new ArrayList<>();

    // all of these are guarded by this object's monitor
    private final Free freeContent;
    private final Free freeBlob;
    private final Deque<Slot> toApply = new ArrayDeque<>();
    private long changes;
    private boolean isBroken;

    /** The CPU on which a slot of content was last filled. */
    private volatile int filledOn = -1;

    private final ToHash blobs = new ToHash();
    private final ToHash contents = new ToHash();
    private volatile Chore hashingBlobs = NOTHING;
    private volatile Chore hashingContents = NOTHING;
    private volatile Chore writing = NOTHING;

    /**
     * @param contentSlots how many slots of {@link Slot#CONTENT_SIZE} bytes there may be at most
     * @param ready how many of them to allocate now; the others are allocated when they are needed
     */
    SlotQueues(int contentSlots, int ready) {
        freeContent = new Free(Slot.CONTENT_MEMORY, contentSlots, ready);
        freeBlob = new Free(Slot.BLOB_MEMORY, BLOB_SLOTS, Math.min(ready, BLOB_SLOTS));
    }

    /** A supply that a thread can wait for. */
    private interface SlotSupply<T> {
        /** Takes the next one; null when there is none now. */
        @Nullable
        T poll();
    }

    /** Slots that can be filled. The one given back last is taken first, because it is still in the CPU's cache. */
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

    /** The slots of one kind, blobs or content, that wait to be hashed, in order. */
    final class ToHash implements SlotSupply<Slot> {
        private final Deque<Slot> waiting = new ArrayDeque<>();

        /** Waits for the next one. */
        Slot take() throws InterruptedException {
            return SlotQueues.this.take(this);
        }

        /** The next one, null when there is none now. */
        @Override
        public @Nullable Slot poll() {
            synchronized (SlotQueues.this) {
                return waiting.poll();
            }
        }

        /** Wakes who waits for a digest. */
        void digestFound() {
            changed();
        }
    }

    /** The pieces of blobs to hash. */
    ToHash blobs() {
        return blobs;
    }

    /** The slots of content to hash. */
    ToHash contents() {
        return contents;
    }

    /** From now on, threads that would wait compute digests with these chores. */
    void shareHashing(Chore ofBlobs, Chore ofContents) {
        hashingBlobs = ofBlobs;
        hashingContents = ofContents;
    }

    /** From now on, threads that would wait write files with this chore. */
    void shareWriting(Chore chore) {
        writing = chore;
        changed();
    }

    /** Wakes all waiting threads: there may be something for them to do. */
    synchronized void changed() {
        changes++;
        notifyAll();
    }

    private boolean help() {
        boolean hasHelped = hashingBlobs.tryStep() || hashingContents.tryStep() || writing.tryStep();
        if (hasHelped) {
            // another thread may have found nothing to do only because this one was busy with it
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

    /** Waits until a slot for content is free, and takes it. */
    Slot takeContent(Layer layer) throws InterruptedException {
        return take(freeContent).reset(layer);
    }

    /** Waits until a slot for a piece of a blob is free, and takes it. */
    Slot takeBlob(Layer layer) throws InterruptedException {
        return take(freeBlob).reset(layer);
    }

    /** Passes a filled slot of content on to be applied, and to be hashed unless its digest is the blob's. */
    void publishContent(Slot slot) {
        slot.length = slot.memory.buffer().position();
        filledOn = Cpus.current();
        slot.publish(slot.isStored ? 1 : 2);
        synchronized (this) {
            if (!slot.isStored) {
                contents.waiting.add(slot);
            }
            toApply.add(slot);
            changed();
        }
    }

    /** Passes a piece of a blob on to the hasher. The caller may still read it, and must release it. */
    void publishBlob(Slot slot) {
        slot.publish(2);
        synchronized (this) {
            blobs.waiting.add(slot);
            changed();
        }
    }

    /** Waits for the next slot to apply. */
    Slot takeToApply() throws InterruptedException {
        return take(toApply::poll);
    }

    /** The CPU that the thread that fills slots was last seen on. */
    int filledOn() {
        return filledOn;
    }

    /** Waits for the digest that the hasher computes. */
    Digest awaitDigest(Slot last) throws InterruptedException {
        return take(last::digest);
    }

    /** Does chores until the thread is interrupted: for a thread with no work of its own left. */
    void helpUntilInterrupted() throws InterruptedException {
        take(() -> null);
    }

    /** Makes all waiting threads give up, because one of the pipeline's threads has failed. */
    synchronized void breakDown() {
        isBroken = true;
        changed();
    }

    /** Gives the memory of all slots back. Call it only when every thread that reads slots has stopped. */
    void discard() {
        all.forEach(Slot::discard);
    }
}
