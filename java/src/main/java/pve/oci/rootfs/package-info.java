/**
 * The container's root file system: everything relative to directory descriptors below one root descriptor, names as
 * bytes. No symbolic link is ever followed out of the root: the kernel opens paths without following links or ".."
 * (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), and {@code LinkWalk} walks those that lead through links.
 */
@NullMarked
package pve.oci.rootfs;

import org.jspecify.annotations.NullMarked;
