package pve.oci.rootfs;

import java.io.IOException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

/**
 * Opens the directories that entries are made in, and makes those that are missing. A path is walked component by
 * component from the deepest directory that is open already. A symbolic link on the way is followed inside the root
 * ({@link LinkWalk}), which is what "extracted like a regular tar archive" means (layer.md). If a link leads nowhere,
 * its target is made, inside the root.
 *
 * <p>Why nothing outside the root can be opened: the root is a descriptor, and every other directory is opened from one
 * that is open, without following links or ".." ({@link DirectoryOpener}). What is open stays the same directory
 * however it is renamed. A path that is kept in the cache leads to the directory that the image's own entries put
 * there, because every removal of a link or a directory is told to the cache ({@link Removal}).
 */
final class DirectoryResolver implements AutoCloseable {
    /** Small enough that one look-up does not push the result of the one before it out of the cache. */
    private static final int KEPT_AT_ONCE = 100;

    private Directory root;
    private final DirectoryCache cache;
    private final DirectoryOpener opener;
    private final LinkWalk linkWalk;
    private final Removal removal;
    private final FileStatus status = new FileStatus();

    DirectoryResolver(Fd root, DirectoryCache cache, DirectoryOpener opener, Removal removal) throws IOException {
        this.cache = cache;
        this.opener = opener;
        this.removal = removal;
        linkWalk = new LinkWalk(opener);
        this.root = opener.describe(opener.open(root, new byte[0], 0), new byte[0], LinkUse.NONE);
    }

    Directory root() {
        return root;
    }

    /** Reads the root directory's attributes again. */
    void describeRoot() throws IOException {
        root = opener.describe(root.fd(), new byte[0], LinkUse.NONE);
    }

    /** To be called when the root directory's attributes have changed. */
    void rootChanged(boolean inheritsGroup, boolean inheritsAcl) throws IOException {
        root = new Directory(
                root.fd(), status.read(root.number()), root.path(), LinkUse.NONE, inheritsGroup, inheritsAcl);
        cache.forgetAliases(root);
    }

    /** The directory of the path's first bytes, or null when it is not there or not a directory. */
    @Nullable
    Directory find(EntryPath path, int length) throws IOException {
        try {
            return open(path.bytes(), length, false);
        } catch (ProtectedEntryException e) {
            // nothing in a closed volume is the image's
            return null;
        } catch (ErrnoException e) {
            // ELOOP: links that lead in a circle lead nowhere
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                return null;
            }
            throw e;
        }
    }

    /** The directory of the path's first bytes; what is missing of it is made, mode 0755, owned by root of the map. */
    Directory make(EntryPath path, int length) throws IOException {
        return open(path.bytes(), length, true);
    }

    private Directory open(byte[] bytes, int length, boolean makes) throws IOException {
        if (length == 0) {
            return root;
        }
        int known = length;
        Directory directory = cache.get(bytes, known);
        while (directory == null) {
            known = lastSlash(bytes, known);
            directory = known == 0 ? root : cache.get(bytes, known);
        }
        return walk(directory, bytes, known, length, makes);
    }

    /** Walks on from an open directory. Of a very long way only the beginning and the end are kept open. */
    private Directory walk(Directory from, byte[] bytes, int known, int length, boolean makes) throws IOException {
        Directory directory = from;
        boolean isKept = true;
        int count = 0;
        int at = known;
        while (at < length) {
            int start = at == 0 ? 0 : at + 1;
            int end = nextSlash(bytes, start, length);
            Directory next;
            try {
                next = step(directory, bytes, start, end, makes);
            } finally {
                if (!isKept) {
                    directory.close();
                }
            }
            count++;
            isKept = end == length || count < KEPT_AT_ONCE;
            if (isKept) {
                cache.put(bytes, end, next);
            }
            directory = next;
            at = end;
        }
        return directory;
    }

    private static int lastSlash(byte[] bytes, int end) {
        int slash = end - 1;
        while (slash > 0 && bytes[slash] != '/') {
            slash--;
        }
        return slash;
    }

    private static int nextSlash(byte[] bytes, int start, int length) {
        int slash = start;
        while (slash < length && bytes[slash] != '/') {
            slash++;
        }
        return slash;
    }

    /** One component of a path whose directory is open. */
    private Directory step(Directory parent, byte[] bytes, int start, int end, boolean makes) throws IOException {
        byte[] name = Arrays.copyOfRange(bytes, start, end);
        try {
            return opener.describe(opener.open(parent.fd(), name, 1), parent.pathOf(name), parent.linkUse());
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ELOOP) {
                return linkWalk.open(root, Arrays.copyOf(bytes, end), makes);
            }
            if (!makes || (e.errno() != Errno.ENOENT && e.errno() != Errno.ENOTDIR)) {
                throw e;
            }
            if (e.errno() == Errno.ENOTDIR) {
                // a file of a lower layer, or an earlier entry, has become a directory: the later entry counts
                removal.clearWay(parent, name);
            }
            return opener.make(parent, name, parent.linkUse());
        }
    }

    @Override
    public void close() {
        cache.close();
        root.close();
    }
}
