/**
 * The worker's process. It takes one job at a time from its connection, and runs it with {@code archive}, {@code
 * layer}, {@code rootfs} and {@code update}. So that it starts fast it has no logging library and no databind.
 */
@NullMarked
package pve.oci.worker;

import org.jspecify.annotations.NullMarked;
