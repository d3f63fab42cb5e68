@NullMarked
package pve.oci.tar;

import org.jspecify.annotations.NullMarked;
