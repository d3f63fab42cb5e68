package pve.oci.rootfs;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
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
 * (openat2(2), RESOLVE_IN_ROOT), as "extracted like a regular tar archive" (layer.md) has it. A link that leads nowhere
 * has its target made, inside the root.
 */
final class DirectoryResolver implements AutoCloseable {
    /** include/linux/namei.h: MAXSYMLINKS */
    private static final int MAXIMUM_LINKS = 40;

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
    private final NativeBuffer link = NativeBuffer.allocate(EntryPath.PATH_MAX);
    private final MadeListener madeListener;

    /** Learns of directories that an entry's path made, and of files that had to go for them. */
    interface MadeListener {
        void madeDirectory(Directory parent, byte[] bytes, int offset, int length) throws ErrnoException;

        void replaceByDirectory(Directory parent, byte[] bytes, int offset, int length) throws ErrnoException;
    }

    DirectoryResolver(Fd root, ExistingEntries existing, ExtendedAttributes extended, MadeListener madeListener)
            throws ErrnoException {
        this.existing = existing;
        this.extended = extended;
        this.madeListener = madeListener;
        this.root = describe(new Fd(openBeneath(root.number(), new byte[] {'.'}, 0, 1)), false);
    }

    Directory root() {
        return root;
    }

    /** New entries of the root directory take over its group or ACL from now on, or no longer do. */
    void setRootInherits(boolean inherits) {
        root = new Directory(root.fd(), root.device(), root.inode(), root.existed(), root.isViaLink(), inherits);
    }

    DirectoryCache cache() {
        return cache;
    }

    /** The directory of that path, or null when it is not there or not a directory. */
    @Nullable
    Directory find(byte[] bytes, int length) throws ErrnoException {
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
    Directory make(byte[] bytes, int length) throws ErrnoException {
        return open(bytes, length, true);
    }

    private Directory open(byte[] bytes, int length, boolean makes) throws ErrnoException {
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
    private Directory walk(Directory from, byte[] bytes, int known, int length, boolean makes) throws ErrnoException {
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
    private Directory step(Directory parent, byte[] bytes, int start, int end, boolean makes) throws ErrnoException {
        try {
            return describe(new Fd(openBeneath(parent.number(), bytes, start, end - start)), parent.isViaLink());
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ELOOP) {
                return throughLink(bytes, end, makes);
            }
            if (!makes || (e.errno() != Errno.ENOENT && e.errno() != Errno.ENOTDIR)) {
                throw e;
            }
            if (e.errno() == Errno.ENOTDIR) {
                // a file of a lower layer, or an earlier entry, has become a directory: the later entry counts
                madeListener.replaceByDirectory(parent, bytes, start, end - start);
            }
            return makeDirectory(parent, bytes, start, end);
        }
    }

    private Directory makeDirectory(Directory parent, byte[] bytes, int start, int end) throws ErrnoException {
        Libc.mkdirat(parent.number(), path.set(bytes, start, end - start), IMPLICIT_MODE);
        Fd fd = new Fd(openBeneath(parent.number(), bytes, start, end - start));
        if (parent.inherits()) {
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), IMPLICIT_MODE);
            extended.clear(fd.number());
        }
        madeListener.madeDirectory(parent, bytes, start, end - start);
        return describe(fd, parent.isViaLink());
    }

    private Directory throughLink(byte[] bytes, int end, boolean makes) throws ErrnoException {
        try {
            int fd = openat2(root.number(), path.set(bytes, 0, end), Libc.RESOLVE_IN_ROOT | Libc.RESOLVE_NO_MAGICLINKS);
            return describe(new Fd(fd), true);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOENT || !makes) {
                throw e;
            }
            return describe(makeThroughLinks(bytes, end), true);
        }
    }

    /**
     * Walks a path by hand, following links inside the root, and makes what is missing. The directories on the way stay
     * open, so that ".." is the one that was come from.
     */
    private Fd makeThroughLinks(byte[] bytes, int end) throws ErrnoException {
        Deque<byte[]> components = new ArrayDeque<>();
        pushComponents(components, bytes, end);
        Deque<Fd> way = new ArrayDeque<>();
        int links = 0;
        try {
            way.push(new Fd(openBeneath(root.number(), new byte[] {'.'}, 0, 1)));
            while (!components.isEmpty()) {
                byte[] component = components.pop();
                if (isParent(component)) {
                    if (way.size() > 1) {
                        way.pop().close();
                    }
                    continue;
                }
                byte[] target = enter(way, component);
                if (target != null) {
                    if (++links > MAXIMUM_LINKS) {
                        throw new ErrnoException("openat2", Errno.ELOOP);
                    }
                    if (target[0] == '/') {
                        while (way.size() > 1) {
                            way.pop().close();
                        }
                    }
                    pushComponents(components, target, target.length);
                }
            }
            return way.pop();
        } finally {
            way.forEach(Fd::close);
        }
    }

    private static boolean isParent(byte[] component) {
        return component.length == 2 && component[0] == '.' && component[1] == '.';
    }

    private static void pushComponents(Deque<byte[]> components, byte[] bytes, int end) {
        int at = end;
        while (at > 0) {
            int start = at - 1;
            while (start >= 0 && bytes[start] != '/') {
                start--;
            }
            byte[] component = Arrays.copyOfRange(bytes, start + 1, at);
            if (component.length > 0 && !(component.length == 1 && component[0] == '.')) {
                components.push(component);
            }
            at = start;
        }
    }

    /** Opens or makes the component and puts it on the way; a symbolic link's target is returned instead. */
    private byte @Nullable [] enter(Deque<Fd> way, byte[] component) throws ErrnoException {
        int parent = way.element().number();
        try {
            way.push(new Fd(openBeneath(parent, component, 0, component.length)));
            return null;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ELOOP) {
                int length = (int)
                        Libc.readlinkat(parent, path.set(component, 0, component.length), link.address(), link.size());
                byte[] target = new byte[length];
                link.buffer().get(0, target);
                return target;
            }
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
        Directory above = describe(way.pop(), true);
        way.push(above.fd());
        way.push(makeDirectory(above, component, 0, component.length).fd());
        return null;
    }

    private int openBeneath(int parent, byte[] bytes, int offset, int length) throws ErrnoException {
        return openat2(
                parent,
                path.set(bytes, offset, length),
                Libc.RESOLVE_BENEATH | Libc.RESOLVE_NO_SYMLINKS | Libc.RESOLVE_NO_MAGICLINKS);
    }

    private int openat2(int parent, long name, long resolve) throws ErrnoException {
        // struct open_how: flags, mode, resolve
        openHow.buffer().putLong(0, OPEN_DIRECTORY).putLong(8, 0).putLong(16, resolve);
        return Libc.openat2(parent, name, openHow.address());
    }

    private Directory describe(Fd fd, boolean isViaLink) throws ErrnoException {
        status.read(fd.number());
        long device = status.device();
        long inode = status.inode();
        boolean inherits = (status.mode() & 02000) != 0 || extended.has(fd.number(), ExtendedAttributes.ACL_DEFAULT);
        return new Directory(fd, device, inode, existing.isExistingDirectory(device, inode), isViaLink, inherits);
    }

    @Override
    public void close() {
        cache.close();
        root.close();
    }
}
