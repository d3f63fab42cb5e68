package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Opens and makes directories below directories that are open. Symbolic links are never followed here, and no ".." is:
 * the kernel refuses both (openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), so what is opened lies below the
 * directory it was opened from, whatever anybody does to the tree meanwhile.
 */
final class DirectoryOpener {
    private static final int OPEN_DIRECTORY = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
    private static final long RESOLVE = Libc.RESOLVE_BENEATH | Libc.RESOLVE_NO_SYMLINKS | Libc.RESOLVE_NO_MAGICLINKS;
    private static final int IMPLIED_MODE = 0755;
    private static final byte[] SELF = {'.'};

    private final ExtendedAttributes extended;
    private final LayerEntries layerEntries;
    private final Steps steps;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();

    /** struct open_how: flags, mode, resolve */
    private final NativeBuffer openHow = NativeBuffer.allocate(24);

    DirectoryOpener(ExtendedAttributes extended, LayerEntries layerEntries, Steps steps) {
        this.extended = extended;
        this.layerEntries = layerEntries;
        this.steps = steps;
        openHow.buffer().putLong(0, OPEN_DIRECTORY).putLong(8, 0).putLong(16, RESOLVE);
    }

    /**
     * Opens the directory that a path of several components leads to; an empty path is the directory itself.
     *
     * @throws ErrnoException ELOOP when there is a symbolic link in it
     */
    Fd open(Fd from, byte[] path, int components) throws IOException {
        steps.take(components);
        long address = name.set(path.length == 0 ? SELF : path);
        return new Fd(Libc.openat2(from.number(), address, openHow.address()));
    }

    /** Reads the attributes of an open directory. Closes it if they cannot be read. */
    Directory describe(Fd fd, byte[] path, LinkUse use) throws IOException {
        try {
            status.read(fd.number());
            if (layerEntries.isClosed(status.mountId())) {
                throw ProtectedEntryException.onClosedVolume(path);
            }
            // new files get root's group unless the directory passes its own on: by its set-group-ID bit, or always on
            // a file system that is mounted with "grpid"
            boolean inheritsGroup = (status.mode() & Libc.S_ISGID) != 0 || status.gid() != 0;
            return new Directory(
                    fd, status, path, use, inheritsGroup, extended.has(fd, ExtendedAttributes.ACL_DEFAULT));
        } catch (IOException | RuntimeException e) {
            fd.close();
            throw e;
        }
    }

    /** Makes a directory that an entry's path needs: mode 0755, owned by root of the map. */
    Directory make(Directory parent, byte[] entry, LinkUse use) throws IOException {
        Libc.mkdirat(parent.number(), name.set(entry), IMPLIED_MODE);
        Fd fd = open(parent.fd(), entry, 1);
        try {
            if (parent.inherits()) {
                Libc.fchown(fd.number(), 0, 0);
                Libc.fchmod(fd.number(), IMPLIED_MODE);
                extended.clear(fd);
            }
        } catch (IOException | RuntimeException e) {
            fd.close();
            throw e;
        }
        layerEntries.markMade(parent, entry);
        return describe(fd, parent.pathOf(entry), use);
    }
}
