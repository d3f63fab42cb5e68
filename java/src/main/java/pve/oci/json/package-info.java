/**
 * JSON as plain Java collections. A leaf: everything may use it, it uses nothing of ours. The worker and the frames on
 * the sockets need JSON before anything else runs, so this stands on jackson-core's streaming reader alone; binding to
 * records (jackson-databind) is for {@code service}.
 */
@NullMarked
package pve.oci.json;

import org.jspecify.annotations.NullMarked;
