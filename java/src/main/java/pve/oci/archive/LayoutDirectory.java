package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.text.Text;

/**
 * An image layout in a directory (image-layout.md). Only regular files below it count; links are followed, but never
 * out of it.
 */
final class LayoutDirectory implements ImageFiles {
    private final Fd directory;
    private final FileStatus status = new FileStatus();
    private final NativeBuffer openHow = NativeBuffer.allocate(24);

    /** Takes the descriptor over. */
    LayoutDirectory(Fd directory) {
        this.directory = directory;
    }

    private @Nullable Fd openFile(String name, int flags) throws ImageException {
        openHow.buffer()
                .putLong(0, flags | Libc.O_CLOEXEC)
                .putLong(8, 0)
                .putLong(16, Libc.RESOLVE_IN_ROOT | Libc.RESOLVE_NO_MAGICLINKS);
        byte[] path = name.getBytes(StandardCharsets.ISO_8859_1);
        try {
            return new Fd(CString.lend(path, address -> Libc.openat2(directory.number(), address, openHow.address())));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR) {
                return null;
            }
            throw failed(name, e);
        }
    }

    private static ImageException failed(String name, ErrnoException e) {
        // the worker is not root on the host, and umoci writes blobs of mode 0600
        String advice = e.errno() == Errno.EACCES
                ? "; the image is read without root's rights: chmod -R a+rX lets everybody read it"
                : "";
        return ImageException.of(ImageError.SYSTEM_ERROR)
                .withAll(e.parameters())
                .cause(e)
                .message(Text.clean(name) + ": " + e.getMessage() + advice);
    }

    @Override
    public synchronized @Nullable Long size(String name) throws IOException {
        try (Fd fd = openFile(name, Libc.O_PATH)) {
            if (fd == null || status.read(fd.number()).type() != Libc.S_IFREG) {
                return null;
            }
            return status.size();
        }
    }

    @Override
    public synchronized @Nullable String otherType(String name) throws IOException {
        try (Fd fd = openFile(name, Libc.O_PATH)) {
            return fd == null ? null : "no regular file";
        }
    }

    @Override
    public boolean isDirectory() {
        return true;
    }

    @Override
    public boolean isEmpty() {
        return false;
    }

    @Override
    public synchronized BlobSource open(String name) throws IOException {
        // a FIFO must not block: the type was checked before, but may have changed
        Fd fd = openFile(name, Libc.O_RDONLY | Libc.O_NONBLOCK);
        if (fd == null) {
            throw failed(name, new ErrnoException("openat2", Errno.ENOENT));
        }
        return new FileBlob(fd, 0, status.read(fd.number()).size(), true);
    }

    @Override
    public void close() {
        directory.close();
    }
}
