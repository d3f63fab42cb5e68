/**
 * The image-spec's JSON documents as records: parsed, checked, and nothing else; no I/O. Section names are those of
 * opencontainers/image-spec.
 */
@NullMarked
package pve.oci.oci;

import org.jspecify.annotations.NullMarked;
