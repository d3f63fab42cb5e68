/**
 * The program pve-ocid: options, the listening socket, the processes of the workers, the log, systemd. What it serves
 * is in {@code service}.
 */
@NullMarked
package pve.oci.daemon;

import org.jspecify.annotations.NullMarked;
