/**
 * OCI images as container templates for Proxmox VE. ARCHITECTURE.md has a picture of the processes and the table of
 * packages: which may use which.
 */
@NullMarked
package pve.oci;

import org.jspecify.annotations.NullMarked;
