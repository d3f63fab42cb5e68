package pve.oci.archive;

import pve.oci.oci.Descriptor;
import pve.oci.oci.ImageException;

/** What holds for the layers of an image, whatever archive it is in. */
final class Layers {
    /** Overlay file systems stop at 128 or 500; the bound keeps the list itself small. */
    static final int MAXIMUM = 4000;

    private Layers() {}

    /** config.md: diff_ids are the layers' digests, in order from first to last. */
    static void check(Descriptor config, int layers, int diffIds) throws ImageException {
        if (layers != diffIds) {
            throw ImageException.of("MalformedImage")
                    .with("blobDigest", config.digest().toString())
                    .with("jsonPointer", "/rootfs/diff_ids")
                    .message("config " + config.digest() + ": number of diff_ids is " + diffIds
                            + ", which does not match the number of layers, " + layers);
        }
        if (layers > MAXIMUM) {
            throw ImageException.of("LimitExceeded")
                    .with("limit", "layers")
                    .with("maximum", MAXIMUM)
                    .message("image has " + layers + " layers, the limit of layers is " + MAXIMUM);
        }
    }
}
