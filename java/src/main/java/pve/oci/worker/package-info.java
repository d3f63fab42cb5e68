/**
 * The engine as a process: takes one job at a time and runs it with {@code archive}, {@code layer} and {@code rootfs}.
 * It speaks frames on its connection and starts fast: no logging library, no databind.
 */
@NullMarked
package pve.oci.worker;

import org.jspecify.annotations.NullMarked;
