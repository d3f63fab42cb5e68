/**
 * OCI images as container templates for Proxmox VE. ARCHITECTURE.md has the picture of the processes and the table of
 * who may depend on whom.
 */
@NullMarked
package pve.oci;

import org.jspecify.annotations.NullMarked;
