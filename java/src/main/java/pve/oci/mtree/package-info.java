/**
 * What an image made of a root file system, as an mtree(5) file, and how a tree differs from it. The record stands in
 * the root file system itself ({@code /.pve.oci.mtree.zst}), so the container's root may have written anything into it.
 */
@NullMarked
package pve.oci.mtree;

import org.jspecify.annotations.NullMarked;
