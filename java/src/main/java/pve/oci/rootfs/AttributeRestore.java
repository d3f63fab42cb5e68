package pve.oci.rootfs;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/** Gives directories that were there before a failed extraction their attributes back. */
final class AttributeRestore {
    private final Fd root;
    private final ExtendedAttributes extended;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();
    private final NativeBuffer times = NativeBuffer.allocate(32);

    AttributeRestore(Fd root, ExtendedAttributes extended) {
        this.root = root;
        this.extended = extended;
    }

    /** From the innermost outwards: nothing is written in a directory once it has its time. */
    void run(ExistingEntries existing) throws ErrnoException {
        List<ExistingEntries.Entry> directories = new ArrayList<>();
        existing.entries().forEach(directories::add);
        Collections.reverse(directories);
        for (ExistingEntries.Entry entry : directories) {
            if (entry.attributes() != null) {
                restore(entry.pathBytes(), entry.attributes());
            }
        }
    }

    private void restore(byte[] path, ExistingEntries.Attributes attributes) throws ErrnoException {
        byte[] bytes = path.length == 0 ? new byte[] {'.'} : path;
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        try (Fd fd = new Fd(Libc.openat(root.number(), name.set(bytes, 0, bytes.length), flags, 0))) {
            status.read(fd.number());
            if (status.uid() != attributes.uid() || status.gid() != attributes.gid()) {
                Libc.fchown(fd.number(), attributes.uid(), attributes.gid());
            }
            if ((status.mode() & 07777) != attributes.mode()) {
                Libc.fchmod(fd.number(), attributes.mode());
            }
            if (!extended.read(fd.number()).equals(attributes.extended())) {
                restoreExtended(fd.number(), attributes.extended());
            }
            // struct timespec[2]: last access, last modification
            times.buffer().putLong(0, attributes.seconds()).putLong(8, attributes.nanos());
            times.buffer().putLong(16, attributes.seconds()).putLong(24, attributes.nanos());
            Libc.futimens(fd.number(), times.address());
        } catch (ErrnoException e) {
            // not ours to open or change, so it was not changed
            if (e.errno() != Errno.EACCES && e.errno() != Errno.EPERM && e.errno() != Errno.EINVAL) {
                throw e;
            }
        }
    }

    private void restoreExtended(int fd, Map<String, String> attributes) throws ErrnoException {
        extended.clear(fd);
        for (Map.Entry<String, String> attribute : attributes.entrySet()) {
            extended.set(
                    fd,
                    attribute.getKey().getBytes(StandardCharsets.ISO_8859_1),
                    attribute.getValue().getBytes(StandardCharsets.ISO_8859_1));
        }
    }
}
