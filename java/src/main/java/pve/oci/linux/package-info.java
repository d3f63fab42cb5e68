/**
 * System calls and native libraries. The only package that sees JNA: one method a call, named and documented by its C
 * prototype. File names are bytes; buffers are addresses of native memory, so that nothing is copied on the way.
 */
@NullMarked
package pve.oci.linux;

import org.jspecify.annotations.NullMarked;
