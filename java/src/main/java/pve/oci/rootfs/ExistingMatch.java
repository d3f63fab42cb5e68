package pve.oci.rootfs;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

/**
 * Finds again, by path, the entries that another process has found below a root. An entry that is another type of file
 * now does not count as found.
 */
final class ExistingMatch {
    private final ExistingEntries existing;
    private final PathOpener opener = new PathOpener();
    private final FileStatus status = new FileStatus();
    private final CString name = new CString(255);

    /** The list that another process made by {@link ExistingEntries#toJson}, matched with what is there now. */
    static ExistingEntries ofJson(Fd root, List<?> json) throws IOException {
        ExistingEntries existing = new ExistingEntries();
        for (Object item : json) {
            existing.add(ExistingEntry.of((Map<?, ?>) item));
        }
        new ExistingMatch(existing).run(root);
        return existing;
    }

    private ExistingMatch(ExistingEntries existing) {
        this.existing = existing;
    }

    void run(Fd root) throws IOException {
        for (ExistingEntry entry : existing.entries()) {
            try {
                match(root, entry);
            } catch (ErrnoException e) {
                // gone, or lost+found of a file system that root of the map does not own
                if (e.errno() != Errno.ENOENT
                        && e.errno() != Errno.EACCES
                        && e.errno() != Errno.ENOTDIR
                        && e.errno() != Errno.ELOOP) {
                    throw e;
                }
            }
        }
    }

    private void match(Fd root, ExistingEntry entry) throws IOException {
        if (entry.path().isEmpty()) {
            existing.addDirectory("", status.read(root.number()));
            return;
        }
        try (Fd parent = opener.directory(root, entry.parentPath().getBytes(StandardCharsets.ISO_8859_1))) {
            byte[] bytes = entry.name();
            status.read(parent.number());
            long key = EntryKeys.key(status.device(), status.inode(), bytes);
            status.read(parent.number(), name.set(bytes));
            if (status.isDirectory() == entry.isDirectory()) {
                existing.addKey(key);
            }
            if (status.isDirectory()) {
                existing.addDirectory(entry.path(), status);
            }
            if (entry.isClosed()) {
                existing.closeMount(status.mountId());
            }
        }
    }
}
