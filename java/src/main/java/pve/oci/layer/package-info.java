/**
 * Applies an image's layers: read, hashed and decompressed on the way, in one pass, as SECURITY.md and the image-spec's
 * layer.md have it.
 */
@NullMarked
package pve.oci.layer;

import org.jspecify.annotations.NullMarked;
