/**
 * Microbenchmarks of the engine's parts, over the layers of images that bench/run built. bench/microbenchmarks runs
 * them.
 */
@NullMarked
package pve.oci.bench;

import org.jspecify.annotations.NullMarked;
