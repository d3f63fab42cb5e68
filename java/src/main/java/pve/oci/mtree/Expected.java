package pve.oci.mtree;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Changes that nobody has made on purpose, or that Proxmox VE takes care of. */
enum Expected {
    /** Proxmox VE or LXC wrote it for this container; an update keeps it. */
    HOST(
            "etc/hosts",
            "etc/hostname",
            "etc/resolv.conf",
            "etc/network/interfaces",
            "etc/network/interfaces.d",
            "etc/systemd/network",
            "etc/systemd/system-preset/00-pve.preset",
            "etc/localtime",
            "etc/timezone",
            "etc/crontab",
            "etc/inittab",
            "etc/machine-id",
            "etc/securetty",
            "etc/shadow",
            "etc/ssh/ssh_host_ecdsa_key",
            "etc/ssh/ssh_host_ecdsa_key.pub",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_rsa_key.pub",
            "root/.ssh/authorized_keys"),
    /** Programs make it again when it is missing; an update does not keep it. */
    TEMPORARY(
            "dev",
            "proc",
            "run",
            "sys",
            "tmp",
            "var/cache",
            "var/lock",
            "var/log",
            "var/run",
            "var/tmp",
            "etc/ld.so.cache",
            "etc/mtab");

    @SuppressWarnings("ImmutableEnumChecker") // nothing changes a set of paths once it is made
    private final PathSet paths;

    Expected(String... paths) {
        this.paths = new PathSet(List.of(paths));
    }

    /** A directory that Proxmox VE may have made for one of its files. */
    static boolean isAboveHostFile(String path) {
        return HOST.paths.isAbove(path);
    }

    /** Why a change of this path is expected; null when it is not, so that it counts as somebody's change. */
    static @Nullable Expected of(String path) {
        for (Expected expected : values()) {
            if (expected.paths.covers(path)) {
                return expected;
            }
        }
        return null;
    }
}
