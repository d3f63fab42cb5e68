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
import pve.oci.linux.Timespec;

/** Gives directories that were there before a failed extraction their attributes back. */
final class AttributeRestore {
    private final Fd root;
    private final ExtendedAttributes extended;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();
    private final Timespec times = new Timespec();

    AttributeRestore(Fd root, ExtendedAttributes extended) {
        this.root = root;
        this.extended = extended;
    }

    /** From the innermost outwards: nothing is written in a directory once it has its time. */
    void run(ExistingEntries existing) throws ErrnoException {
        List<ExistingEntries.ExistingEntry> directories = new ArrayList<>();
        existing.entries().forEach(directories::add);
        Collections.reverse(directories);
        for (ExistingEntries.ExistingEntry entry : directories) {
            if (entry.attributes() != null) {
                restore(entry.pathBytes(), entry.attributes());
            }
        }
    }

    private void restore(byte[] path, ExistingEntries.Attributes attributes) throws ErrnoException {
        byte[] bytes = path.length == 0 ? new byte[] {'.'} : path;
        try (Fd fd = Fd.openDirectory(root, name.set(bytes))) {
            FileMetadata metadata = attributes.metadata();
            status.read(fd.number());
            boolean hasOtherOwner = status.uid() != metadata.uid() || status.gid() != metadata.gid();
            boolean hasOtherMode = (status.mode() & Libc.S_PERMISSIONS) != metadata.mode();
            if (hasOtherOwner || hasOtherMode) {
                metadata.setOwnerAndMode(fd, hasOtherOwner, true);
            }
            if (!extended.read(fd).equals(attributes.extended())) {
                restoreExtended(fd, attributes.extended());
            }
            metadata.setTime(fd, times);
        } catch (ErrnoException e) {
            // not ours to open or change, so it was not changed
            if (e.errno() != Errno.EACCES && e.errno() != Errno.EPERM && e.errno() != Errno.EINVAL) {
                throw e;
            }
        }
    }

    private void restoreExtended(Fd fd, Map<String, String> attributes) throws ErrnoException {
        extended.clear(fd);
        for (Map.Entry<String, String> attribute : attributes.entrySet()) {
            extended.set(
                    fd,
                    attribute.getKey().getBytes(StandardCharsets.ISO_8859_1),
                    attribute.getValue().getBytes(StandardCharsets.ISO_8859_1));
        }
    }
}
