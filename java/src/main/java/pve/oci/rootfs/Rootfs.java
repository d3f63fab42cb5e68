package pve.oci.rootfs;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Makes, replaces and removes entries below one root directory, and takes everything back when the extraction fails. It
 * knows files and directories, not tar entries: {@code layer} decides what is done, this does it. One thread uses it;
 * the process's umask must be 0.
 */
public final class Rootfs implements AutoCloseable {
    private static final int S_ISGID = 02000;
    private static final int SET_ID_BITS = 06000;

    /** What was given. Kept open: closing the descriptor of a detached mount dissolves it, other volumes below included. */
    private final Fd mount;

    private final Fd rootFd;
    private final ExistingEntries existing;
    private final ExtendedAttributes extended = new ExtendedAttributes();
    private final DirectoryResolver resolver;
    private final LayerEntries lower;
    private final TreeRemoval wholeRemoval;
    private final TreeRemoval lowerRemoval;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final CString target = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();
    private final NativeBuffer times = NativeBuffer.allocate(32);

    /** Takes the descriptor over. Refuses a directory that holds more than {@link ExistingEntries} lets pass. */
    public Rootfs(Fd root) throws IOException {
        this(root, reopen(root), ExistingEntries::read);
    }

    /** Finds out what was there before. */
    private interface ExistingReader {
        ExistingEntries read(Fd root) throws IOException;
    }

    private Rootfs(Fd mount, Fd root, ExistingReader reader) throws IOException {
        this.mount = mount;
        this.rootFd = root;
        this.existing = readExisting(root, reader);
        lower = new LayerEntries(existing, extended);
        resolver = new DirectoryResolver(root, existing, extended, new DirectoryResolver.Listener() {
            @Override
            public void madeDirectory(Directory parent, byte[] bytes, int offset, int length) {
                lower.markMade(parent, bytes, offset, length);
            }

            @Override
            public void replaceByDirectory(Directory parent, byte[] bytes, int offset, int length) throws IOException {
                clearWay(parent, bytes, offset, length);
            }

            @Override
            public boolean followedLink(long device, long inode, byte[] bytes) {
                return lower.markFollowed(device, inode, bytes);
            }
        });
        wholeRemoval = new TreeRemoval((device, inode, bytes) -> isExisting(device, inode, bytes));
        lowerRemoval = new TreeRemoval(lower);
    }

    /** What is refused leaves nothing open: the caller closes the mount, which is its own then. */
    private static ExistingEntries readExisting(Fd root, ExistingReader reader) throws IOException {
        try {
            return reader.read(root);
        } catch (IOException | RuntimeException e) {
            root.close();
            throw e;
        }
    }

    /** A rootfs that another process left behind, only to be taken back by {@link #undo}. */
    public static Rootfs abandoned(Fd root, List<?> existing) throws IOException {
        return new Rootfs(root, reopen(root), fd -> ExistingEntries.ofTexts(fd, existing));
    }

    /** A mount's descriptor is one of O_PATH, which says nothing of attributes. */
    private static Fd reopen(Fd root) throws IOException {
        CString self = CString.of(".");
        return new Fd(Libc.openat(root.number(), self.address(), Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0));
    }

    public ExistingEntries existing() {
        return existing;
    }

    /**
     * What the layer before made is a lower layer's from now on.
     *
     * @param comesInOrder whiteouts come between the layer's entries, as they stand in it; so a whiteout may be one too
     *     late ({@link WhiteoutOrderException})
     */
    public void beginLayer(boolean isBase, boolean comesInOrder) {
        lower.begin(isBase, comesInOrder);
        // so that links are walked anew, and seen
        resolver.cache().forgetLinks();
    }

    /** The directory that holds the entry, made when it is missing. */
    public Directory makeParent(EntryPath path) throws IOException {
        return resolver.make(path.bytes(), path.parentLength());
    }

    /** The directory that holds the entry, or null when there is none. */
    public @Nullable Directory findParent(EntryPath path) throws IOException {
        return resolver.find(path.bytes(), path.parentLength());
    }

    /** The entry itself as a directory, or null when it is none. */
    public @Nullable Directory findDirectory(byte[] path, int length) throws IOException {
        return resolver.find(path, length);
    }

    public Directory root() {
        return resolver.root();
    }

    /** A new regular file in place of whatever had the name; open for writing. Set-ID bits come with {@link #finishFile}. */
    public int createFile(Directory parent, EntryPath path, int mode) throws IOException {
        int flags = Libc.O_WRONLY | Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        long address = name.set(path.bytes(), path.nameStart(), path.nameLength());
        int fd;
        try {
            fd = Libc.openat(parent.number(), address, flags, mode & 01777);
        } catch (ErrnoException e) {
            clearWay(parent, path, e);
            fd = Libc.openat(
                    parent.number(), name.set(path.bytes(), path.nameStart(), path.nameLength()), flags, mode & 01777);
        }
        markMade(parent, path);
        return fd;
    }

    /**
     * Owner and mode of a file that was created and written. In this order: writing and chown(2) clear set-ID bits, and
     * capabilities, which therefore are set after this.
     */
    public void finishFile(Directory parent, int fd, int mode, int uid, int gid) throws IOException {
        if (uid != 0 || gid != 0 || parent.inherits()) {
            Libc.fchown(fd, uid, gid);
        }
        if ((mode & SET_ID_BITS) != 0 || parent.inherits()) {
            Libc.fchmod(fd, mode);
        }
        if (parent.inherits()) {
            extended.remove(fd, ExtendedAttributes.ACL_ACCESS);
        }
    }

    public void setFileTime(int fd, long seconds, int nanos) throws IOException {
        Libc.futimens(fd, setTimes(seconds, nanos));
    }

    public void setAttribute(int fd, byte[] attribute, byte[] value) throws IOException {
        extended.set(fd, attribute, value);
    }

    /** For what cannot be opened: FIFOs, device nodes, symbolic links. */
    public void setAttribute(Directory parent, EntryPath path, byte[] attribute, byte[] value) throws IOException {
        extended.set(parent, path.name(), attribute, value);
    }

    /**
     * A directory with this mode and owner, and none of the attributes that it may have had. One that is there is kept
     * with what it holds (layer.md, Applying: attributes MUST be replaced); anything else of the name is replaced.
     *
     * @param hasDefaultAcl the caller is going to set a default ACL, which new entries in it would take over
     * @return the directory, open until another entry is looked up
     */
    public Directory makeDirectory(Directory parent, EntryPath path, int mode, int uid, int gid, boolean hasDefaultAcl)
            throws IOException {
        if (path.isRoot()) {
            replaceAttributes(resolver.root().number(), mode, uid, gid);
            resolver.setRootInherits(hasDefaultAcl || (mode & S_ISGID) != 0);
            return resolver.root();
        }
        boolean isNew = mkdir(parent, path, mode);
        Fd fd = new Fd(openDirectory(parent, path));
        try {
            if (!isNew || parent.inherits()) {
                replaceAttributes(fd.number(), mode, uid, gid);
            } else {
                if (uid != 0 || gid != 0) {
                    Libc.fchown(fd.number(), uid, gid);
                }
                if ((mode & SET_ID_BITS) != 0) {
                    Libc.fchmod(fd.number(), mode);
                }
            }
            status.read(fd.number());
        } catch (ErrnoException e) {
            fd.close();
            throw e;
        }
        boolean inherits = hasDefaultAcl || (mode & S_ISGID) != 0;
        if (inherits && !isNew) {
            // it may be open by another path too, described as it was
            resolver.cache().forgetLinks();
        }
        markMade(parent, path);
        Directory directory = new Directory(
                fd,
                status.device(),
                status.inode(),
                existing.isExistingDirectory(status.device(), status.inode()),
                parent.isViaLink(),
                parent.isViaMadeLink(),
                inherits);
        resolver.cache().put(path.bytes(), path.length(), directory);
        return directory;
    }

    private void replaceAttributes(int fd, int mode, int uid, int gid) throws IOException {
        Libc.fchown(fd, uid, gid);
        Libc.fchmod(fd, mode);
        extended.clear(fd);
    }

    private boolean mkdir(Directory parent, EntryPath path, int mode) throws IOException {
        long address = name.set(path.bytes(), path.nameStart(), path.nameLength());
        try {
            Libc.mkdirat(parent.number(), address, mode & 01777);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EEXIST) {
                throw e;
            }
        }
        if (status.read(parent.number(), address).isDirectory()) {
            return false;
        }
        clearWay(parent, path.bytes(), path.nameStart(), path.nameLength());
        Libc.mkdirat(parent.number(), name.set(path.bytes(), path.nameStart(), path.nameLength()), mode & 01777);
        return true;
    }

    private int openDirectory(Directory parent, EntryPath path) throws IOException {
        return Libc.openat(
                parent.number(),
                name.set(path.bytes(), path.nameStart(), path.nameLength()),
                Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC,
                0);
    }

    public void makeSymbolicLink(
            Directory parent, EntryPath path, byte[] linkTarget, int targetLength, int uid, int gid)
            throws IOException {
        long to = target.set(linkTarget, 0, targetLength);
        try {
            Libc.symlinkat(to, parent.number(), nameOf(path));
        } catch (ErrnoException e) {
            clearWay(parent, path, e);
            Libc.symlinkat(to, parent.number(), nameOf(path));
        }
        if (uid != 0 || gid != 0 || parent.inherits()) {
            Libc.fchownat(parent.number(), nameOf(path), uid, gid, Libc.AT_SYMLINK_NOFOLLOW);
        }
        markMade(parent, path);
    }

    /** {@link #makeHardLink} where nothing is in the way or missing; otherwise false, whatever the reason is. */
    public boolean tryHardLink(EntryPath path, Directory targetParent, EntryPath targetPath) throws IOException {
        long to = target.set(targetPath.bytes(), targetPath.nameStart(), targetPath.nameLength());
        Directory parent;
        try {
            parent = findParent(path);
            if (parent == null) {
                return false;
            }
            Libc.linkat(targetParent.number(), to, parent.number(), nameOf(path), 0);
        } catch (ErrnoException e) {
            return false;
        }
        markMade(parent, path);
        return true;
    }

    /** A further name of a file; symbolic links themselves can be linked to. */
    public void makeHardLink(Directory parent, EntryPath path, Directory targetParent, EntryPath targetPath)
            throws IOException {
        long to = target.set(targetPath.bytes(), targetPath.nameStart(), targetPath.nameLength());
        try {
            Libc.linkat(targetParent.number(), to, parent.number(), nameOf(path), 0);
        } catch (ErrnoException e) {
            if (isSame(parent, nameOf(path), targetParent, to)) {
                markMade(parent, path);
                return;
            }
            clearWay(parent, path, e);
            Libc.linkat(targetParent.number(), to, parent.number(), nameOf(path), 0);
        }
        markMade(parent, path);
    }

    /** Two names of one file: the link is there already, and clearing the way for it would remove its target. */
    private boolean isSame(Directory parent, long path, Directory otherParent, long other) {
        try {
            status.read(parent.number(), path);
            long device = status.device();
            long inode = status.inode();
            status.read(otherParent.number(), other);
            return status.device() == device && status.inode() == inode && !status.isDirectory();
        } catch (ErrnoException e) {
            return false;
        }
    }

    /** Type of the entry, one of the S_IF constants; 0 when there is none. */
    public int typeOf(Directory parent, EntryPath path) throws IOException {
        try {
            return status.read(parent.number(), nameOf(path)).type();
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return 0;
            }
            throw e;
        }
    }

    /** A FIFO or a device node; {@code mode} holds its type. */
    public void makeNode(Directory parent, EntryPath path, int mode, long device, int uid, int gid) throws IOException {
        try {
            Libc.mknodat(parent.number(), nameOf(path), mode, device);
        } catch (ErrnoException e) {
            clearWay(parent, path, e);
            Libc.mknodat(parent.number(), nameOf(path), mode, device);
        }
        if (uid != 0 || gid != 0 || parent.inherits()) {
            Libc.fchownat(parent.number(), nameOf(path), uid, gid, Libc.AT_SYMLINK_NOFOLLOW);
        }
        if ((mode & SET_ID_BITS) != 0 || parent.inherits()) {
            // not followed: it was made above and nobody else is here
            Libc.fchmodat(parent.number(), nameOf(path), mode & 07777, 0);
        }
        if (parent.inherits()) {
            extended.removeAcl(parent, path.name());
        }
        markMade(parent, path);
    }

    /** Time of an entry that is not open: link, FIFO, device node. */
    public void setEntryTime(Directory parent, EntryPath path, long seconds, int nanos) throws IOException {
        Libc.utimensat(parent.number(), nameOf(path), setTimes(seconds, nanos), Libc.AT_SYMLINK_NOFOLLOW);
    }

    /** Removes an entry with all that it holds; nothing happens when there is none. */
    public void removeEntry(Directory parent, EntryPath path) throws IOException {
        if (typeOf(parent, path) != 0) {
            clearWay(parent, path.bytes(), path.nameStart(), path.nameLength());
        }
    }

    /**
     * A whiteout of this entry: what lower layers have of it goes, what this layer made stays (layer.md, Whiteouts).
     */
    public void removeLowerEntry(Directory parent, EntryPath path) throws IOException {
        if (lower.isEmpty()) {
            return;
        }
        int type = typeOf(parent, path);
        byte[] bytes = path.name();
        boolean survives = type == 0 || lower.survives(parent.device(), parent.inode(), bytes);
        if (type == Libc.S_IFDIR) {
            resolver.cache().forgetTree(path.bytes(), path.length(), parent.isViaLink());
            if (survives) {
                removeChildrenOfSurvivor(parent, path);
            } else {
                lowerRemoval.remove(parent.number(), bytes);
            }
        } else if (!survives) {
            if (type == Libc.S_IFLNK) {
                resolver.cache().forgetLinks();
            }
            Libc.unlinkat(parent.number(), nameOf(path), 0);
        }
    }

    private void removeChildrenOfSurvivor(Directory parent, EntryPath path) throws IOException {
        try (Fd fd = new Fd(openDirectory(parent, path))) {
            lowerRemoval.removeChildren(fd);
        } catch (ErrnoException e) {
            // lost+found of a file system that root of the map does not own: no layer has written in it
            if (e.errno() != Errno.EACCES || !isExisting(parent.device(), parent.inode(), path.name())) {
                throw e;
            }
        }
    }

    /** An opaque whiteout in this directory: lower layers' entries go, the directory itself stays. */
    public void removeLowerChildren(Directory directory, EntryPath path) throws IOException {
        if (!lower.isEmpty()) {
            resolver.cache().forgetTree(path.bytes(), path.parentLength(), directory.isViaLink());
            lowerRemoval.removeChildren(directory.fd());
        }
    }

    /** An existing name is in the way: it goes, unless the failure was another one. */
    private void clearWay(Directory parent, EntryPath path, ErrnoException failure) throws IOException {
        if (failure.errno() != Errno.EEXIST) {
            throw failure;
        }
        clearWay(parent, path.bytes(), path.nameStart(), path.nameLength());
    }

    private void clearWay(Directory parent, byte[] bytes, int offset, int length) throws IOException {
        if (existing.contains(parent, bytes, offset, length)) {
            // rmdir(2) of a mount point succeeds from another mount namespace and takes the mount with it
            throw new ErrnoException("unlinkat", Errno.EBUSY);
        }
        int type = status.read(parent.number(), name.set(bytes, offset, length)).type();
        if (type == Libc.S_IFDIR) {
            resolver.cache().forgetTree(bytes, offset + length, parent.isViaLink() || offset == 0);
            byte[] entry = new byte[length];
            System.arraycopy(bytes, offset, entry, 0, length);
            wholeRemoval.remove(parent.number(), entry);
        } else {
            if (type == Libc.S_IFLNK) {
                resolver.cache().forgetLinks();
            }
            Libc.unlinkat(parent.number(), name.set(bytes, offset, length), 0);
        }
    }

    private long nameOf(EntryPath path) {
        return name.set(path.bytes(), path.nameStart(), path.nameLength());
    }

    private long setTimes(long seconds, int nanos) {
        // struct timespec[2]: last access, last modification
        times.buffer()
                .putLong(0, seconds)
                .putLong(8, nanos)
                .putLong(16, seconds)
                .putLong(24, nanos);
        return times.address();
    }

    private void markMade(Directory parent, EntryPath path) {
        lower.markMade(parent, path.bytes(), path.nameStart(), path.nameLength());
    }

    private boolean isExisting(long device, long inode, byte[] bytes) {
        return existing.containsKey(EntryKeys.key(device, inode, bytes, 0, bytes.length));
    }

    /**
     * Removes all that was made, and gives directories that were there before their attributes back. The extraction can
     * begin anew.
     */
    public void undo() throws IOException {
        resolver.cache().close();
        new TreeRemoval((device, inode, bytes) -> isExisting(device, inode, bytes)).removeChildren(rootFd);
        new AttributeRestore(rootFd, extended).run(existing);
        resolver.describeRoot();
    }

    @Override
    public void close() {
        extended.close();
        resolver.close();
        rootFd.close();
        mount.close();
    }
}
