package pve.oci.linux;

/**
 * Who stands at the other end of a Unix socket (unix(7), SO_PEERCRED), as of its connect(2).
 *
 * @param pid 0 when the peer is in a pid namespace that is not ours
 */
public record PeerCredentials(int pid, long uid, long gid) {}
