package pve.oci.update;

import java.io.IOException;
import java.util.Set;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.mtree.PathSet;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TreeRemoval;

/**
 * Removes the folders of updates. A tree may hold what only the host's root can remove: files of owners that are not
 * the container's, immutable ones, or a read-only subvolume of btrfs. That must not keep an update from its end,
 * because until then the container does not start. So such a folder is moved away.
 */
final class ControlRemoval {
    private static final Set<Integer> UNREMOVABLE = Set.of(Errno.EACCES, Errno.EPERM, Errno.EROFS);

    /** What rename(2) answers when there is another file or a folder with content. */
    private static final Set<Integer> TAKEN = Set.of(Errno.EEXIST, Errno.ENOTEMPTY, Errno.ENOTDIR);

    /** Somebody else has put folders there, if there are so many. */
    private static final int MOST_FOLDERS = 1000;

    private ControlRemoval() {}

    /**
     * Afterwards the folder is not there any more. What could not be removed is in {@link ControlDirectory#REMOVED}.
     *
     * @throws UpdateException a file system is mounted below it, or nothing can be removed from the root directory
     */
    static void remove(Fd root, String name, Steps steps) throws IOException {
        ControlDirectory.requireChangeable(root, "");
        try {
            TreeRemoval.ofMount(root, steps).removeIfThere(root, PathSet.bytes(name));
        } catch (ErrnoException e) {
            if (!UNREMOVABLE.contains(e.errno())) {
                throw e;
            }
            setAside(root, name);
        }
        try (Fd left = ControlDirectory.find(root, name)) {
            if (left != null) {
                throw KeptPaths.conflict(
                        "/" + name + " cannot be removed: a file system is mounted below it: unmount that");
            }
        }
    }

    private static void setAside(Fd root, String name) throws IOException {
        Fd found = ControlDirectory.find(root, ControlDirectory.REMOVED);
        try (Fd removed = found == null ? ControlDirectory.create(root, ControlDirectory.REMOVED) : found) {
            for (int number = 0; ; number++) {
                try {
                    ControlDirectory.rename(root, name, removed, String.valueOf(number));
                    return;
                } catch (ErrnoException e) {
                    if (!TAKEN.contains(e.errno()) || number >= MOST_FOLDERS) {
                        throw e;
                    }
                }
            }
        }
    }

    /** Whether there is something that could not be removed. */
    static boolean hasRemains(Fd root) throws IOException {
        try (Fd removed = ControlDirectory.find(root, ControlDirectory.REMOVED)) {
            return removed != null;
        }
    }
}
