/**
 * Image archives: finds their files, whatever form the archive has, and chooses the image that is wanted. Reads JSON
 * documents; blobs of layers are only opened, for {@code layer} to read.
 */
@NullMarked
package pve.oci.archive;

import org.jspecify.annotations.NullMarked;
