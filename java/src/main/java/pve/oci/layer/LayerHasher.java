package pve.oci.layer;

import org.jspecify.annotations.Nullable;
import pve.oci.archive.ContentHash;
import pve.oci.oci.Digest;

/** The second stage of the {@link LayerPipeline}: computes the digests of blobs and of their content. */
final class LayerHasher {
    private final SlotQueues slots;
    private @Nullable ContentHash blob;
    private @Nullable ContentHash content;
    private @Nullable Digest blobDigest;

    LayerHasher(SlotQueues slots) {
        this.slots = slots;
    }

    void run() throws InterruptedException {
        try {
            while (true) {
                Slot slot = slots.takeToHash();
                if (slot.isOfBlob()) {
                    blob = update(blob, slot, slot.layer().descriptor().digest());
                } else {
                    content = update(content, slot, slot.layer().diffId());
                }
                slot.release();
            }
        } finally {
            close(blob);
            close(content);
        }
    }

    /** @return null when that was the last slot */
    private @Nullable ContentHash update(@Nullable ContentHash begun, Slot slot, Digest expected) {
        ContentHash hash = begun == null ? new ContentHash(expected.algorithm()) : begun;
        hash.update(slot.memory, slot.length);
        if (!slot.isLast) {
            return hash;
        }
        Digest digest = hash.finish();
        hash.close();
        if (slot.isOfBlob()) {
            blobDigest = digest;
        } else {
            slot.blobDigest = blobDigest;
        }
        slot.setDigest(digest);
        return null;
    }

    private static void close(@Nullable ContentHash hash) {
        if (hash != null) {
            hash.close();
        }
    }
}
