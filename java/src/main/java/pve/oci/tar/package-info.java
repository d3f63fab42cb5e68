/**
 * Reading of tar archives as layers hold them: v7, ustar, star, GNU and PAX. Names, link names and attribute values
 * stay the bytes they are in the archive, numbers are checked, and nothing is allocated for an ordinary entry. What an
 * entry means for the rootfs is decided in {@code pve.oci.layer}.
 */
@NullMarked
package pve.oci.tar;

import org.jspecify.annotations.NullMarked;
