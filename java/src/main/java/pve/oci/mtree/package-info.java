/**
 * The record of what an image made: its entries, as an mtree(5) file. Compares a tree with its record. The record
 * stands in the root file system itself ({@code /.pve.oci.mtree.zst}), so the container's root may have written
 * anything into it.
 */
@NullMarked
package pve.oci.mtree;

import org.jspecify.annotations.NullMarked;
