package pve.oci.mtree;

import java.io.IOException;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.rootfs.PathOpener;
import pve.oci.rootfs.Steps;

/** Compares files of a tree, byte by byte, with those of the same paths in a tree that an image has just made. */
final class ContentComparison {
    private static final int BLOCK = 1 << 18;

    private final Fd tree;
    private final Fd image;
    private final Steps steps;
    private final PathOpener opener = new PathOpener();
    private final FileStatus status = new FileStatus();
    private final NativeBuffer inTree = NativeBuffer.allocate(BLOCK);
    private final NativeBuffer inImage = NativeBuffer.allocate(BLOCK);

    /** @param steps one is taken for each block that is read */
    ContentComparison(Fd tree, Fd image, Steps steps) {
        this.tree = tree;
        this.image = image;
        this.steps = steps;
    }

    /**
     * Whether the two files of this path differ. A file that cannot be read, or is no regular file any more, differs.
     */
    boolean differs(byte[] path) throws IOException {
        try (Fd wanted = opener.file(image, path);
                Fd present = opener.file(tree, path)) {
            if (status.read(present.number()).type() != Libc.S_IFREG) {
                return true;
            }
            while (true) {
                steps.take(1);
                int length = read(wanted, inImage);
                if (read(present, inTree) != length
                        || !inImage.buffer()
                                .slice(0, length)
                                .equals(inTree.buffer().slice(0, length))) {
                    return true;
                }
                if (length < BLOCK) {
                    return false;
                }
            }
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EACCES || e.errno() == Errno.ENOENT || e.errno() == Errno.ELOOP) {
                return true;
            }
            throw e;
        }
    }

    /** Fills the buffer, or reads to the end of the file. */
    private static int read(Fd fd, NativeBuffer buffer) throws ErrnoException {
        int length = 0;
        while (length < BLOCK) {
            long count = Libc.read(fd.number(), buffer.address() + length, BLOCK - length);
            if (count == 0) {
                break;
            }
            length += (int) count;
        }
        return length;
    }
}
