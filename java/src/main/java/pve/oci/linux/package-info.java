/**
 * System calls and native libraries. The only package that uses JNA. Each call is one method, named and documented by
 * its C prototype. File names are bytes; buffers are addresses of native memory, so that nothing is copied on the way.
 */
@NullMarked
package pve.oci.linux;

import org.jspecify.annotations.NullMarked;
