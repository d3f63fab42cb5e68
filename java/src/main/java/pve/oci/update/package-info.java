/**
 * Replaces the system in a root file system by another image, in place: the new tree is staged beside the old one, then
 * names are exchanged by renames, and the old tree stays for a rollback. What is kept is never moved. The root file
 * system belongs to a container whose root may have planted anything in it; all this runs in a worker's sandbox.
 */
@NullMarked
package pve.oci.update;

import org.jspecify.annotations.NullMarked;
