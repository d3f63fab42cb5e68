package pve.oci.layer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.BlobSource;
import pve.oci.archive.Layer;
import pve.oci.compress.Compression;
import pve.oci.compress.CorruptBlobException;
import pve.oci.compress.Decompressor;
import pve.oci.compress.Decompressors;
import pve.oci.compress.UnsupportedCompressionException;
import pve.oci.compress.WindowLimitException;
import pve.oci.linux.ErrnoException;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;

/**
 * The first stage of the {@link LayerPipeline}: reads blobs and decompresses them. If a layer fails, its last slot
 * carries the reason, and no further layer is read.
 */
final class LayerReader {
    private static final int FIRST_SLOT_SIZE = 64 << 10;

    private final List<Layer> layers;
    private final LayerLimits limits;
    private final Progress progress;
    private final SlotQueues slots;
    private final Throttle throttle;

    /** The piece of the blob that is being decompressed. */
    private @Nullable Slot piece;

    /** The slot that is being filled with content. */
    private @Nullable Slot slot;

    /** How much of the next slot to fill: little at first, so that the next stage can begin early. */
    private int slotSize = FIRST_SLOT_SIZE;

    /** {@link Slot#isStored} of the layer's slots. */
    private boolean isStored;

    private long uncompressed;

    LayerReader(List<Layer> layers, LayerLimits limits, Throttle throttle, Progress progress, SlotQueues slots) {
        this.layers = layers;
        this.limits = limits;
        this.progress = progress;
        this.slots = slots;
        this.throttle = throttle;
    }

    /** Reads all layers, then helps the other stages with their work until it is interrupted. */
    void run() throws InterruptedException {
        for (Layer layer : layers) {
            IOException failure = null;
            try {
                read(layer);
            } catch (ErrnoException e) {
                failure = unreadable(layer, e);
            } catch (IOException e) {
                failure = e;
            }
            Slot last = slot(layer);
            last.isLast = true;
            last.failure = failure;
            if (piece != null) {
                piece.retain();
                last.blobEnd = piece;
            }
            hand(last);
            if (failure != null) {
                break;
            }
        }
        slots.helpUntilInterrupted();
    }

    /** Says that reading the archive failed, and not the entry that is being applied at the moment. */
    private static ImageException unreadable(Layer layer, ErrnoException e) {
        return ImageException.of(ImageError.SYSTEM_ERROR)
                .withAll(e.parameters())
                .cause(e)
                .message(layer + ": " + e.getMessage());
    }

    private Slot slot(Layer layer) throws InterruptedException {
        Slot filling = slot;
        if (filling == null) {
            filling = slots.takeContent(layer);
            filling.memory.buffer().limit(slotSize);
            slotSize = Math.min(2 * slotSize, filling.memory.size());
            slot = filling;
        }
        return filling;
    }

    private void hand(Slot filled) {
        slot = null;
        filled.isStored = isStored;
        slots.publishContent(filled);
    }

    private static void requireSize(Layer layer, long actual) throws ImageException {
        long expected = layer.descriptor().size();
        if (actual != expected) {
            throw ImageException.of(ImageError.SIZE_MISMATCH)
                    .with("blobDigest", layer.descriptor().digest().toString())
                    .with("expectedSize", expected)
                    .with("actualSize", actual)
                    .message(layer + ": blob has a size of " + actual + " bytes, its descriptor says " + expected);
        }
    }

    private void read(Layer layer) throws IOException, InterruptedException {
        uncompressed = 0;
        try (BlobSource blob = layer.blob().open()) {
            requireSize(layer, blob.size());
            Slot read = readPiece(layer, blob, blob.size());
            long left = blob.size() - read.length;
            Decompressor decompressor = null;
            try {
                Compression compression = Compression.detect(read.bytes());
                isStored = compression == Compression.NONE
                        && layer.diffId()
                                .algorithm()
                                .equals(layer.descriptor().digest().algorithm());
                decompressor = Decompressors.of(compression, limits.zstdWindowLog());
                decompress(layer, decompressor, read.bytes(), blob.size() - left);
                while (left > 0) {
                    read = readPiece(layer, blob, left);
                    left -= read.length;
                    decompress(layer, decompressor, read.bytes(), blob.size() - left);
                }
                decompressor.finish();
            } catch (CorruptBlobException | UnsupportedCompressionException | WindowLimitException e) {
                // if the digest is wrong too, that is the better error: the blob was changed or damaged
                while (left > 0) {
                    read = readPiece(layer, blob, left);
                    left -= read.length;
                }
                layer.verifyBlob(slots.awaitDigest(read));
                throw explain(layer, e);
            } finally {
                if (decompressor != null) {
                    decompressor.close();
                }
            }
        }
    }

    /** Reads the next piece of the blob and passes it on to the hasher. The result is valid until the next call. */
    private Slot readPiece(Layer layer, BlobSource blob, long left) throws IOException, InterruptedException {
        if (piece != null) {
            piece.release();
            piece = null;
        }
        Slot read = slots.takeBlob(layer);
        int length = blob.read(read.memory);
        if (length == 0 && left > 0) {
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .with("blobDigest", layer.descriptor().digest().toString())
                    .message(layer + ": archive is truncated, " + left + " bytes of the blob are missing");
        }
        throttle.spend(length);
        progress.read(length);
        read.length = length;
        read.isLast = length == left;
        slots.publishBlob(read);
        piece = read;
        return read;
    }

    /** Decompresses all of the input into slots. */
    private void decompress(Layer layer, Decompressor decompressor, ByteBuffer in, long compressed)
            throws IOException, InterruptedException {
        boolean mayHaveMore = true;
        while (mayHaveMore) {
            Slot filling = slot(layer);
            ByteBuffer out = filling.memory.buffer();
            int before = out.position();
            decompressor.decompress(in, out);
            uncompressed += out.position() - before;
            if (uncompressed > LayerLimits.RATIO_FREE_SIZE && uncompressed / compressed > limits.maximumRatio()) {
                throw limit(layer, "maximumRatio", limits.maximumRatio(), "decompresses to too many times its size");
            }
            mayHaveMore = !out.hasRemaining();
            if (mayHaveMore) {
                hand(filling);
            }
        }
    }

    private ImageException explain(Layer layer, IOException e) {
        String blobDigest = layer.descriptor().digest().toString();
        if (e instanceof UnsupportedCompressionException unsupported) {
            return ImageException.of(ImageError.UNSUPPORTED_MEDIA_TYPE)
                    .with("blobDigest", blobDigest)
                    .with("mediaType", layer.descriptor().mediaType())
                    .cause(e)
                    .message(layer + ": unsupported compression " + unsupported.compression());
        }
        if (e instanceof WindowLimitException window) {
            return limit(layer, "zstdWindowLog", window.maximum(), String.valueOf(e.getMessage()));
        }
        ImageException.Builder builder =
                ImageException.of(ImageError.MALFORMED_ARCHIVE).with("blobDigest", blobDigest);
        if (e instanceof CorruptBlobException corrupt) {
            builder.with("offset", corrupt.offset());
        }
        return builder.cause(e).message(layer + ": " + e.getMessage());
    }

    private static ImageException limit(Layer layer, String name, long maximum, String what) {
        return ImageException.limit(name, maximum)
                .with("layerDigest", layer.descriptor().digest().toString())
                .exceeded(layer + ": " + what);
    }
}
