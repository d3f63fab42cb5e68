/** The engine in a child of the calling Perl process: the worker's code, without a daemon. */
@NullMarked
package pve.oci.embedded;

import org.jspecify.annotations.NullMarked;
