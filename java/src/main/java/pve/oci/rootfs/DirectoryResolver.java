package pve.oci.rootfs;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Opens the directories that entries are made in, and makes those that are missing. A path is walked component by
 * component from the deepest directory that is open already; a symbolic link on the way is followed inside the root
 * ({@link LinkWalk}), as "extracted like a regular tar archive" (layer.md) has it. A link that leads nowhere
 * has its target made, inside the root.
 */
final class DirectoryResolver implements AutoCloseable {
    private static final int OPEN_DIRECTORY = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
    private static final int CACHE_CAPACITY = 512;

    /** Small enough that one look-up does not push the result of the one before it out of the cache. */
    private static final int KEPT_AT_ONCE = 100;

    private static final int IMPLICIT_MODE = 0755;

    private Directory root;
    private final ExistingEntries existing;
    private final DirectoryCache cache = new DirectoryCache(CACHE_CAPACITY);
    private final CString path = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();
    private final ExtendedAttributes extended;
    private final NativeBuffer openHow = NativeBuffer.allocate(24);
    private final LinkWalk linkWalk = new LinkWalk(new LinkSteps());
    private final Listener listener;
    private boolean isViaMadeLink;

    /** Learns of directories that an entry's path made, of files that had to go for them, and of links on the way. */
    interface Listener {
        void madeDirectory(Directory parent, byte[] bytes, int offset, int length) throws IOException;

        void replaceByDirectory(Directory parent, byte[] bytes, int offset, int length) throws IOException;

        /** Says whether the layer at work made the link. */
        boolean followedLink(long device, long inode, byte[] name);
    }

    DirectoryResolver(Fd root, ExistingEntries existing, ExtendedAttributes extended, Listener listener)
            throws IOException {
        this.existing = existing;
        this.extended = extended;
        this.listener = listener;
        this.root = describe(new Fd(openBeneath(root.number(), new byte[] {'.'}, 0, 1)), false, false);
    }

    Directory root() {
        return root;
    }

    /** Reads the root directory's attributes again. */
    void describeRoot() throws IOException {
        root = describe(root.fd(), false, false);
    }

    /** New entries of the root directory take over its group or ACL from now on, or no longer do. */
    void setRootInherits(boolean inherits) {
        root = new Directory(root.fd(), root.device(), root.inode(), root.existed(), false, false, inherits);
    }

    DirectoryCache cache() {
        return cache;
    }

    /** The directory of that path, or null when it is not there or not a directory. */
    @Nullable
    Directory find(byte[] bytes, int length) throws IOException {
        try {
            return open(bytes, length, false);
        } catch (ErrnoException e) {
            // ELOOP: links that lead in a circle lead nowhere
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                return null;
            }
            throw e;
        }
    }

    /** The directory of that path; what is missing of it is made, mode 0755, owned by root of the map. */
    Directory make(byte[] bytes, int length) throws IOException {
        return open(bytes, length, true);
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

    /** From an open directory on. Of a very long way only the beginning and the end are kept open. */
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
        try {
            Fd fd = new Fd(openBeneath(parent.number(), bytes, start, end - start));
            return describe(fd, parent.isViaLink(), parent.isViaMadeLink());
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ELOOP) {
                return throughLink(bytes, end, makes);
            }
            if (!makes || (e.errno() != Errno.ENOENT && e.errno() != Errno.ENOTDIR)) {
                throw e;
            }
            if (e.errno() == Errno.ENOTDIR) {
                // a file of a lower layer, or an earlier entry, has become a directory: the later entry counts
                listener.replaceByDirectory(parent, bytes, start, end - start);
            }
            return makeDirectory(parent, bytes, start, end);
        }
    }

    private Directory makeDirectory(Directory parent, byte[] bytes, int start, int end) throws IOException {
        Libc.mkdirat(parent.number(), path.set(bytes, start, end - start), IMPLICIT_MODE);
        Fd fd = new Fd(openBeneath(parent.number(), bytes, start, end - start));
        if (parent.inherits()) {
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), IMPLICIT_MODE);
            extended.clear(fd.number());
        }
        listener.madeDirectory(parent, bytes, start, end - start);
        return describe(fd, parent.isViaLink(), parent.isViaMadeLink());
    }

    /** Of a path whose last component is a link. */
    private Directory throughLink(byte[] bytes, int end, boolean makes) throws IOException {
        isViaMadeLink = false;
        Fd fd = linkWalk.open(root.fd(), bytes, end, makes);
        return describe(fd, true, isViaMadeLink);
    }

    /** What {@link LinkWalk} asks for. */
    private final class LinkSteps implements LinkWalk.Steps {
        @Override
        public Fd open(byte[] bytes, int length) throws IOException {
            byte[] self = {'.'};
            return new Fd(openBeneath(root.number(), length == 0 ? self : bytes, 0, Math.max(1, length)));
        }

        @Override
        public void make(Fd parent, byte[] name) throws IOException {
            // closed by the caller, who owns the parent
            Directory above = describe(new Fd(parent.number()), true, false);
            makeDirectory(above, name, 0, name.length).close();
        }

        @Override
        public void followed(long device, long inode, byte[] name) {
            isViaMadeLink |= listener.followedLink(device, inode, name);
        }
    }

    private int openBeneath(int parent, byte[] bytes, int offset, int length) throws IOException {
        return openat2(
                parent,
                path.set(bytes, offset, length),
                Libc.RESOLVE_BENEATH | Libc.RESOLVE_NO_SYMLINKS | Libc.RESOLVE_NO_MAGICLINKS);
    }

    private int openat2(int parent, long name, long resolve) throws IOException {
        // struct open_how: flags, mode, resolve
        openHow.buffer().putLong(0, OPEN_DIRECTORY).putLong(8, 0).putLong(16, resolve);
        return Libc.openat2(parent, name, openHow.address());
    }

    private Directory describe(Fd fd, boolean isViaLink, boolean isViaNewLink) throws IOException {
        status.read(fd.number());
        long device = status.device();
        long inode = status.inode();
        boolean inherits = (status.mode() & 02000) != 0 || extended.has(fd.number(), ExtendedAttributes.ACL_DEFAULT);
        return new Directory(
                fd, device, inode, existing.isExistingDirectory(device, inode), isViaLink, isViaNewLink, inherits);
    }

    @Override
    public void close() {
        cache.close();
        root.close();
    }
}
