/**
 * Image archives: where the files of an image layout are, whatever container they are in, and which image of them is
 * wanted. Reads JSON documents; blobs of layers are only opened for {@code layer}.
 */
@NullMarked
package pve.oci.archive;

import org.jspecify.annotations.NullMarked;
