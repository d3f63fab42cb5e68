/**
 * The container's root file system: everything relative to directory descriptors below one root descriptor, names as
 * bytes. No symbolic link is ever followed out of the root: single components are opened without following, whole paths
 * by openat2(2) with RESOLVE_IN_ROOT.
 */
@NullMarked
package pve.oci.rootfs;

import org.jspecify.annotations.NullMarked;
