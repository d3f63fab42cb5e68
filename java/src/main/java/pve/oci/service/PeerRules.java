package pve.oci.service;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Poll;
import pve.oci.varlink.Peer;
import pve.oci.varlink.VarlinkException;

/**
 * Which peers may call what. The daemon runs as root, so opening a path for others would let them reach files that they
 * may not open.
 */
final class PeerRules {
    private PeerRules() {}

    static void requireRoot(Peer peer, String what) throws VarlinkException {
        if (peer.uid() != 0) {
            throw OciErrors.permissionDenied(what + " is for root only, not for uid " + peer.uid()
                    + "; others use the embedded engine (pve-oci --embedded)");
        }
    }

    /** A path means something else in another mount namespace, and a directory from there cannot be cloned here. */
    static void requireOurMountNamespace(Peer peer, String parameter) throws VarlinkException {
        String ours = mountNamespace("self");
        String theirs = peer.pid() > 0 ? mountNamespace(Integer.toString(peer.pid())) : null;
        if (theirs == null || hasExited(peer.pidfd())) {
            throw OciErrors.invalidArgument(
                    parameter,
                    "cannot tell the mount namespace of the process " + peer.pid() + " that made the connection");
        }
        if (!theirs.equals(ours)) {
            throw OciErrors.invalidArgument(
                    parameter,
                    "process " + peer.pid() + " is in another mount namespace (" + theirs + ") than the daemon (" + ours
                            + "): its paths and directories cannot be used");
        }
    }

    private static @Nullable String mountNamespace(String process) {
        try {
            return Files.readSymbolicLink(Path.of("/proc", process, "ns", "mnt"))
                    .toString();
        } catch (IOException e) {
            return null;
        }
    }

    /** Whether the peer's process has ended. Then /proc may have been read for another process with the same number. */
    private static boolean hasExited(@Nullable Fd pidfd) {
        try {
            // pidfd_open(2): it can be read from when the process has ended
            return pidfd != null && Poll.await(pidfd.number(), Poll.POLLIN, 0) != 0;
        } catch (ErrnoException e) {
            return true;
        }
    }
}
