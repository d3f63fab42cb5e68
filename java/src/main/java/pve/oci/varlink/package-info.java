/**
 * Varlink (varlink.org) over Unix sockets: frames, calls, replies, introspection, the interface definition language.
 * Knows nothing of OCI. Frames of the same form go between daemon and worker, so the worker uses the lower half.
 */
@NullMarked
package pve.oci.varlink;

import org.jspecify.annotations.NullMarked;
