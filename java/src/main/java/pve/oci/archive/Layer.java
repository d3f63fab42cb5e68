package pve.oci.archive;

import java.io.IOException;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;

/**
 * One layer of an image: what the manifest and the config say of it, and its blob. A docker archive has no descriptors:
 * there the descriptor is made from the file's size and the diff ID, and the blob itself has no digest to be compared.
 *
 * @param index from 0, in the order of application
 * @param count of the image's layers
 * @param descriptor what the manifest says of the blob
 * @param diffId what the config says of the uncompressed layer
 * @param isBlobDigestKnown whether the descriptor's digest is that of the blob; otherwise the diff ID alone is verified
 * @param blob opens the blob
 */
public record Layer(
        int index, int count, Descriptor descriptor, Digest diffId, boolean isBlobDigestKnown, Opener blob) {
    /** A layer whose blob has a digest. */
    public Layer(int index, int count, Descriptor descriptor, Digest diffId, Opener blob) {
        this(index, count, descriptor, diffId, true, blob);
    }

    /** Opens a blob when its turn comes. */
    public interface Opener {
        BlobSource open() throws IOException;
    }

    /** Compares the digest that was computed of the blob with its descriptor, where that is known. */
    public void verifyBlob(Digest actual) throws ImageException {
        if (isBlobDigestKnown && !actual.equals(descriptor.digest())) {
            throw ImageException.of(ImageError.DIGEST_MISMATCH)
                    .with("blobDigest", descriptor.digest().toString())
                    .with("actualDigest", actual.toString())
                    .with("checked", "blob")
                    .message(this + ": blob has the digest " + actual + ", which does not match");
        }
    }

    /** For messages: "layer 3/7 sha256:..." */
    @Override
    public String toString() {
        return "layer " + (index + 1) + "/" + count + " " + descriptor.digest();
    }
}
