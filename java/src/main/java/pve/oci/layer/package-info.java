/**
 * Applies an image's layers by the rules of the image-spec's layer.md. One pass reads, decompresses, hashes and
 * extracts them. SECURITY.md says what is guaranteed.
 */
@NullMarked
package pve.oci.layer;

import org.jspecify.annotations.NullMarked;
