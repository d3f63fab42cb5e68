package pve.oci.rootfs;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Timespec;

/** Gives directories that were there before a failed extraction their attributes back. */
public final class AttributeRestore {
    private static final Set<Integer> PASSED_OVER =
            Set.of(Errno.EACCES, Errno.EPERM, Errno.EINVAL, Errno.ENOENT, Errno.ENOTDIR, Errno.ELOOP);

    private final Fd root;
    private final ExtendedAttributes extended;
    private final PathOpener opener = new PathOpener();
    private final FileStatus status = new FileStatus();
    private final Timespec times = new Timespec();

    AttributeRestore(Fd root, ExtendedAttributes extended) {
        this.root = root;
        this.extended = extended;
    }

    /** Gives back what directories had before, the root directory's own attributes included. */
    public static void restore(ExistingEntries existing, Fd root) throws IOException {
        try (ExtendedAttributes extended = new ExtendedAttributes()) {
            new AttributeRestore(root, extended).run(existing);
        }
    }

    /** From the innermost outwards: nothing is written in a directory once it has its time. */
    void run(ExistingEntries existing) throws ErrnoException {
        List<ExistingEntry> directories = new ArrayList<>();
        existing.entries().forEach(directories::add);
        Collections.reverse(directories);
        for (ExistingEntry entry : directories) {
            if (entry.attributes() != null) {
                restore(entry.pathBytes(), entry.attributes());
            }
        }
    }

    private void restore(byte[] path, ExistingEntry.Attributes attributes) throws ErrnoException {
        // no link is followed: the daemon does this as the host's root, behind a worker that may have been taken over
        try (Fd fd = opener.directory(root, path)) {
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
            // we may not open or change it, so it was not changed; or it is no longer there
            if (!PASSED_OVER.contains(e.errno())) {
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
