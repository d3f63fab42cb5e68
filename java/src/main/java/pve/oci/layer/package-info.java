/**
 * Applies an image's layers in one pass that reads, hashes, decompresses and extracts them, by the rules of the
 * image-spec's layer.md and with the guarantees of SECURITY.md.
 */
@NullMarked
package pve.oci.layer;

import org.jspecify.annotations.NullMarked;
