/**
 * Decompression of layers: gzip and zstd, between direct buffers, every member and every frame. Knows nothing of what
 * is in them.
 */
@NullMarked
package pve.oci.compress;

import org.jspecify.annotations.NullMarked;
