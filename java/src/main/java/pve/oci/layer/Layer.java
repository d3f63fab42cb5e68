package pve.oci.layer;

import pve.oci.archive.Image;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;

/**
 * One layer of the image that is at work.
 *
 * @param index from 0, in the order of application
 * @param count of the image's layers
 * @param descriptor what the manifest says of the blob
 * @param diffId what the config says of the uncompressed layer
 * @param blob opens the blob
 */
public record Layer(int index, int count, Descriptor descriptor, Digest diffId, Image.Opener blob) {
    /** For messages: "layer 3/7 sha256:..." */
    @Override
    public String toString() {
        return "layer " + (index + 1) + "/" + count + " " + descriptor.digest();
    }
}
