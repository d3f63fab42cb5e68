@NullMarked
package pve.oci.compress;

import org.jspecify.annotations.NullMarked;
