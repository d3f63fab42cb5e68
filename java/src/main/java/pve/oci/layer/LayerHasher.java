package pve.oci.layer;

import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.ContentHash;
import pve.oci.archive.Layer;
import pve.oci.oci.Digest;

/**
 * The second stage of the {@link LayerPipeline}: computes the digests of blobs and of their uncompressed content. Slots
 * are hashed in order, one at a time, by whichever thread does the next step.
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

    /** Hashes until it is interrupted: for a thread that does nothing else. */
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
                // content and blob are the same bytes, and the blob's last piece has been hashed already
                slot.setDigest(slot.isLast ? blobDigest : null);
            } else {
                content = update(content, slot, layer.diffId());
            }
        }
        slot.release();
    }

    /** @return the hash to go on with; null after the last slot */
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

    /** Call it only when no thread hashes any more. */
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
