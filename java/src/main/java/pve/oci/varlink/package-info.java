/**
 * Varlink (varlink.org) over Unix sockets: frames, calls, replies, introspection, the interface definition language.
 * Knows nothing of OCI. Daemon and worker exchange frames of the same form, so the worker uses frames, calls and
 * definitions too.
 */
@NullMarked
package pve.oci.varlink;

import org.jspecify.annotations.NullMarked;
