package pve.oci.archive;

import java.io.IOException;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageException;

/**
 * One layer of an image: what the manifest and the config say of it, and its blob.
 *
 * @param index from 0, in the order of application
 * @param count of the image's layers
 * @param descriptor what the manifest says of the blob
 * @param diffId what the config says of the uncompressed layer
 * @param blob opens the blob
 */
public record Layer(int index, int count, Descriptor descriptor, Digest diffId, Opener blob) {
    /** Opens a blob when its turn comes. */
    public interface Opener {
        BlobSource open() throws IOException;
    }

    /** Compares the digest that was computed of the blob with its descriptor. */
    public void verifyBlob(Digest actual) throws ImageException {
        if (!actual.equals(descriptor.digest())) {
            throw ImageException.of("DigestMismatch")
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
