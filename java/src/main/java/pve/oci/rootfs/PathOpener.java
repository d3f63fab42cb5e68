package pve.oci.rootfs;

import java.util.Arrays;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Opens directories and files by their paths below a root. No symbolic link is followed and no path leads above the
 * root, whatever others do to the tree meanwhile: openat2(2) refuses both in the kernel. One thread owns it.
 */
public final class PathOpener {
    private static final byte[] SELF = {'.'};

    private final CString path = new CString(EntryPath.PATH_MAX);
    private final NativeBuffer directoryHow;
    private final NativeBuffer fileHow;

    public PathOpener() {
        directoryHow = openHow(Libc.O_DIRECTORY);
        // a FIFO that took the file's place is not waited for
        fileHow = openHow(Libc.O_NONBLOCK);
    }

    private static NativeBuffer openHow(int flags) {
        // struct open_how: flags, mode, resolve
        NativeBuffer how = NativeBuffer.allocate(24);
        how.buffer()
                .putLong(0, Libc.O_RDONLY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC | flags)
                .putLong(8, 0)
                .putLong(16, Libc.RESOLVE_BENEATH | Libc.RESOLVE_NO_SYMLINKS | Libc.RESOLVE_NO_MAGICLINKS);
        return how;
    }

    /**
     * Opens the directory at a path below the root; symbolic links are not followed.
     *
     * @param bytes the path; empty: the root itself
     */
    public Fd directory(Fd root, byte[] bytes) throws ErrnoException {
        byte[] named = bytes.length == 0 ? SELF : bytes;
        return new Fd(Libc.openat2(root.number(), path.set(named), directoryHow.address()));
    }

    /** Opens what is at a path below the root for reading, without waiting; it need not be a file. */
    public Fd file(Fd root, byte[] bytes) throws ErrnoException {
        return new Fd(Libc.openat2(root.number(), path.set(bytes), fileHow.address()));
    }

    /** The path of a name in a directory. */
    public static byte[] join(byte[] directory, byte[] name) {
        if (directory.length == 0) {
            return name;
        }
        byte[] joined = Arrays.copyOf(directory, directory.length + 1 + name.length);
        joined[directory.length] = '/';
        System.arraycopy(name, 0, joined, directory.length + 1, name.length);
        return joined;
    }
}
