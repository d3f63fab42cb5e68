package pve.oci.layer;

import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.ContentHash;
import pve.oci.archive.Layer;
import pve.oci.oci.Digest;

/**
 * A second stage of the {@link LayerPipeline}: computes the digests of all blobs, or of their uncompressed content.
 * Slots are hashed in order, one at a time, by whichever thread does the next step. There are two of these, because
 * hashing takes longer than anything else on processors without instructions for it: both cores have to do it at once.
 */
final class LayerHasher implements SlotQueues.Chore, AutoCloseable {
    private final SlotQueues.ToHash slots;
    private final ReentrantLock turn = new ReentrantLock();
    private @Nullable ContentHash begun;

    LayerHasher(SlotQueues.ToHash slots) {
        this.slots = slots;
    }

    /** Hashes until it is interrupted: for a thread that does nothing else. */
    void run() throws InterruptedException {
        while (true) {
            hash(slots.take());
        }
    }

    /** Hashes the next slot. */
    @Override
    public boolean tryStep() {
        if (!turn.tryLock()) {
            return false;
        }
        try {
            Slot slot = slots.poll();
            if (slot != null) {
                hash(slot);
            }
            return slot != null;
        } finally {
            turn.unlock();
        }
    }

    private void hash(Slot slot) {
        Layer layer = slot.layer();
        Digest expected = slot.isOfBlob() ? layer.descriptor().digest() : layer.diffId();
        ContentHash hash = begun == null ? new ContentHash(expected.algorithm()) : begun;
        begun = hash;
        hash.update(slot.memory, slot.length);
        if (slot.isLast) {
            begun = null;
            slot.setDigest(hash.finish());
            hash.close();
            slots.digestFound();
        }
        slot.release();
    }

    /** Call it only when no thread hashes any more. */
    @Override
    public void close() {
        if (begun != null) {
            begun.close();
        }
    }
}
