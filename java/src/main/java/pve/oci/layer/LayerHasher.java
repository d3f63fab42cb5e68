package pve.oci.layer;

import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.ContentHash;
import pve.oci.archive.Layer;
import pve.oci.oci.Digest;

/**
 * The second stage of the {@link LayerPipeline}: computes the digests of blobs and of their content. Slots are hashed
 * one after the other, by whichever thread takes the next step.
 */
final class LayerHasher implements SlotQueues.Chore, AutoCloseable {
    private final SlotQueues slots;
    private final ReentrantLock turn = new ReentrantLock();
    private @Nullable ContentHash blob;
    private @Nullable ContentHash content;
    private @Nullable Digest blobDigest;

    LayerHasher(SlotQueues slots) {
        this.slots = slots;
    }

    /** For a thread of its own, where nobody takes steps: hashes until it is interrupted. */
    void run() throws InterruptedException {
        while (true) {
            hash(slots.takeToHash());
            slots.changed();
        }
    }

    /** Hashes the next slot. */
    @Override
    public boolean tryStep() {
        if (!turn.tryLock()) {
            return false;
        }
        try {
            Slot slot = slots.pollToHash();
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
        if (slot.isOfBlob()) {
            blob = update(blob, slot, layer.descriptor().digest());
            blobDigest = slot.digest();
        } else {
            slot.blobDigest = blobDigest;
            if (slot.isStored
                    && layer.diffId()
                            .algorithm()
                            .equals(layer.descriptor().digest().algorithm())) {
                // the same bytes, and the blob's last piece came before the content's
                slot.setDigest(slot.isLast ? blobDigest : null);
            } else {
                content = update(content, slot, layer.diffId());
            }
        }
        slot.release();
    }

    /** @return null when that was the last slot */
    private static @Nullable ContentHash update(@Nullable ContentHash begun, Slot slot, Digest expected) {
        ContentHash hash = begun == null ? new ContentHash(expected.algorithm()) : begun;
        hash.update(slot.memory, slot.length);
        if (!slot.isLast) {
            return hash;
        }
        slot.setDigest(hash.finish());
        hash.close();
        return null;
    }

    /** When no thread takes steps any more. */
    @Override
    public void close() {
        if (blob != null) {
            blob.close();
        }
        if (content != null) {
            content.close();
        }
    }
}
