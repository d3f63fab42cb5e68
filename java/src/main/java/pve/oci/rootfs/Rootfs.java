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
import pve.oci.linux.Timespec;

/**
 * Makes, replaces and removes entries below one root directory, and takes everything back when the extraction fails. It
 * knows files and directories, not tar entries: {@code layer} decides what is done, this class does it. One thread uses
 * it; the process's umask must be 0.
 */
public final class Rootfs implements AutoCloseable {
    /**
     * The descriptor that was passed. It is kept open, because closing the descriptor of a detached mount unmounts it
     * with all volumes below.
     */
    private final Fd mount;

    private final Fd rootFd;
    private final ExistingEntries existing;
    private final ExtendedAttributes extended = new ExtendedAttributes();
    private final DirectoryCache cache = new DirectoryCache();
    private final LayerEntries layerEntries;
    private final Removal removal;
    private final DirectoryResolver resolver;
    private final Whiteouts whiteouts;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final CString target = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();
    private final Timespec times = new Timespec();
    private final Steps steps;

    /** Takes the descriptor over. Refuses a directory that {@link ExistingWalk} refuses. */
    public Rootfs(Fd root, Steps steps) throws IOException {
        this(root, reopen(root), steps, ExistingWalk::read);
    }

    /** Finds out what was there before. */
    private interface ExistingReader {
        ExistingEntries read(Fd root) throws IOException;
    }

    private Rootfs(Fd mount, Fd root, Steps steps, ExistingReader reader) throws IOException {
        this.mount = mount;
        this.rootFd = root;
        this.steps = steps;
        this.existing = readExisting(root, reader);
        layerEntries = new LayerEntries(existing, extended);
        removal = new Removal(existing, layerEntries, cache, steps);
        resolver = new DirectoryResolver(root, cache, new DirectoryOpener(extended, layerEntries, steps), removal);
        whiteouts = new Whiteouts(resolver, layerEntries, removal);
    }

    /** Reads what is there. If the directory is refused, the caller keeps the mount and closes it. */
    private static ExistingEntries readExisting(Fd root, ExistingReader reader) throws IOException {
        try {
            return reader.read(root);
        } catch (IOException | RuntimeException e) {
            root.close();
            throw e;
        }
    }

    /** A root file system that another process has left behind. {@link #undo} is all that may be called. */
    public static Rootfs abandoned(Fd root, List<?> existing, Steps steps) throws IOException {
        return new Rootfs(root, reopen(root), steps, fd -> ExistingMatch.ofJson(fd, existing));
    }

    /** Opens the mount for reading. Its own descriptor is one of O_PATH, which cannot be used to read attributes. */
    private static Fd reopen(Fd root) throws ErrnoException {
        return CString.lend(".", self -> Fd.openDirectory(root, self));
    }

    public ExistingEntries existing() {
        return existing;
    }

    /**
     * Begins a layer. What was made so far belongs to lower layers from now on.
     *
     * @param mixesWhiteouts whiteouts come between the layer's entries, as they stand in it
     */
    public void beginLayer(boolean isBase, boolean mixesWhiteouts) {
        layerEntries.begin(isBase, mixesWhiteouts);
    }

    public Whiteouts whiteouts() {
        return whiteouts;
    }

    /** The directory that holds the entry, made when it is missing. */
    public Directory makeParent(EntryPath path) throws IOException {
        Directory parent = resolver.make(path, path.parentLength());
        layerEntries.entryUsed(parent);
        return parent;
    }

    /** The directory that holds the entry, or null when there is none. */
    public @Nullable Directory findParent(EntryPath path) throws IOException {
        Directory parent = resolver.find(path, path.parentLength());
        if (parent != null) {
            layerEntries.entryUsed(parent);
        }
        return parent;
    }

    /** The entry itself as a directory, or null when it is none. */
    public @Nullable Directory findDirectory(EntryPath path) throws IOException {
        return resolver.find(path, path.length());
    }

    /** The job's steps. */
    public Steps steps() {
        return steps;
    }

    /** The root directory, open for reading; closed by {@link #close}. */
    public Fd directory() {
        return rootFd;
    }

    public Directory root() {
        return resolver.root();
    }

    /**
     * Makes a regular file in place of whatever had the name, and opens it for writing. Set-ID bits come with {@link
     * #finishFile}.
     */
    public Fd createFile(Directory parent, EntryPath path, FileMetadata metadata) throws IOException {
        int mode = metadata.modeWithoutSetId();
        int fd;
        try {
            fd = Libc.openat(parent.number(), nameOf(path), Libc.NEW_FILE, mode);
        } catch (ErrnoException e) {
            removal.clearWay(parent, path, e);
            fd = Libc.openat(parent.number(), nameOf(path), Libc.NEW_FILE, mode);
        }
        layerEntries.markMade(parent, path);
        return new Fd(fd);
    }

    /**
     * Sets owner and mode of a file that was made and written. Attributes are set after this, and the time comes last.
     */
    public void finishFile(Directory parent, Fd fd, FileMetadata metadata) throws IOException {
        metadata.setOwnerAndMode(fd, parent.inherits(), parent.inheritsAcl());
        if (parent.inheritsAcl()) {
            extended.remove(fd, ExtendedAttributes.ACL_ACCESS);
        }
    }

    /** Sets the time of the last modification; to be called last, because other changes set it too. */
    public void setTime(Fd fd, FileMetadata metadata) throws IOException {
        metadata.setTime(fd, times);
    }

    /** Sets an extended attribute of an open file or directory. */
    public void setAttribute(Fd fd, byte[] attribute, byte[] value) throws IOException {
        extended.set(fd, attribute, value);
    }

    /** Sets an attribute of an entry that cannot be opened: a FIFO, a device node, a symbolic link. */
    public void setAttribute(Directory parent, EntryPath path, byte[] attribute, byte[] value) throws IOException {
        extended.set(parent, path.name(), attribute, value);
    }

    /**
     * Makes a directory with this owner and mode, without extended attributes. A directory that is there already keeps
     * what it holds, and only its attributes are replaced (layer.md, Applying: attributes MUST be replaced). Anything
     * else of that name is removed first.
     *
     * @param hasDefaultAcl the caller is going to set a default ACL, which new entries in it would take over
     * @return the directory, open until another entry is looked up
     */
    public Directory makeDirectory(Directory parent, EntryPath path, FileMetadata metadata, boolean hasDefaultAcl)
            throws IOException {
        boolean inheritsGroup = (metadata.mode() & Libc.S_ISGID) != 0 || metadata.gid() != 0;
        if (path.isRoot()) {
            replaceAttributes(resolver.root().fd(), metadata);
            resolver.rootChanged(inheritsGroup, hasDefaultAcl);
            return resolver.root();
        }
        boolean isNew = mkdir(parent, path, metadata);
        Fd fd = Fd.openDirectory(parent.fd(), nameOf(path));
        try {
            if (isNew && !parent.inherits()) {
                metadata.setOwnerAndMode(fd, false, false);
            } else {
                replaceAttributes(fd, metadata);
            }
            status.read(fd.number());
        } catch (IOException | RuntimeException e) {
            fd.close();
            throw e;
        }
        layerEntries.markMade(parent, path);
        Directory directory =
                new Directory(fd, status, parent.pathOf(path.name()), parent.linkUse(), inheritsGroup, hasDefaultAcl);
        if (!isNew) {
            // the cache may have it under other paths too, with its old attributes
            cache.forgetAliases(directory);
        }
        if (!existing.isClosed(status.mountId())) {
            cache.put(path.bytes(), path.length(), directory);
        }
        return directory;
    }

    private void replaceAttributes(Fd fd, FileMetadata metadata) throws IOException {
        metadata.setOwnerAndMode(fd, true, true);
        extended.clear(fd);
    }

    private boolean mkdir(Directory parent, EntryPath path, FileMetadata metadata) throws IOException {
        int mode = metadata.modeWithoutSetId();
        try {
            Libc.mkdirat(parent.number(), nameOf(path), mode);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EEXIST
                    && status.read(parent.number(), nameOf(path)).isDirectory()) {
                return false;
            }
            removal.clearWay(parent, path, e);
        }
        Libc.mkdirat(parent.number(), nameOf(path), mode);
        return true;
    }

    /** Makes a link to the first {@code targetLength} bytes of the target, in place of whatever had the name. */
    public void makeSymbolicLink(
            Directory parent, EntryPath path, byte[] linkTarget, int targetLength, FileMetadata metadata)
            throws IOException {
        long to = target.set(linkTarget, 0, targetLength);
        try {
            Libc.symlinkat(to, parent.number(), nameOf(path));
        } catch (ErrnoException e) {
            removal.clearWay(parent, path, e);
            Libc.symlinkat(to, parent.number(), nameOf(path));
        }
        setOwner(parent, path, metadata);
        layerEntries.markMade(parent, path);
        setEntryTime(parent, path, metadata);
    }

    /** Does not follow links. The name still leads to the entry that was just made, because nobody else writes here. */
    private void setOwner(Directory parent, EntryPath path, FileMetadata metadata) throws ErrnoException {
        if (metadata.uid() != 0 || metadata.gid() != 0 || parent.inherits()) {
            Libc.fchownat(parent.number(), nameOf(path), metadata.uid(), metadata.gid(), Libc.AT_SYMLINK_NOFOLLOW);
        }
    }

    /** {@link #makeHardLink} where nothing is in the way or missing; otherwise false, whatever the reason is. */
    public boolean tryHardLink(EntryPath path, Directory targetParent, EntryPath targetPath) throws IOException {
        Directory parent;
        try {
            parent = findParent(path);
            if (parent == null) {
                return false;
            }
            Libc.linkat(targetParent.number(), targetOf(targetPath), parent.number(), nameOf(path), 0);
        } catch (ErrnoException e) {
            return false;
        }
        layerEntries.hardLinkUsed(targetParent, targetPath);
        layerEntries.markMade(parent, path);
        return true;
    }

    /** Gives a file another name. If the target is a symbolic link, the link itself gets the other name. */
    public void makeHardLink(Directory parent, EntryPath path, Directory targetParent, EntryPath targetPath)
            throws IOException {
        long to = targetOf(targetPath);
        layerEntries.hardLinkUsed(targetParent, targetPath);
        try {
            Libc.linkat(targetParent.number(), to, parent.number(), nameOf(path), 0);
        } catch (ErrnoException e) {
            if (isOneFile(parent, nameOf(path), targetParent, to)) {
                // the link is there already, and clearing the way for it would remove its target
                layerEntries.order().replaced(EntryKeys.key(parent, path));
                if (status.type() == Libc.S_IFLNK) {
                    layerEntries.order().linkRemoved();
                }
            } else {
                removal.clearWay(parent, path, e);
                Libc.linkat(targetParent.number(), to, parent.number(), nameOf(path), 0);
            }
        }
        layerEntries.markMade(parent, path);
    }

    private boolean isOneFile(Directory parent, long path, Directory otherParent, long other) {
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

    /** Whether both paths lead to the same name in the same directory. */
    public boolean isSameEntry(@Nullable Directory parent, EntryPath path, Directory otherParent, EntryPath other) {
        return parent != null && parent.isSame(otherParent) && path.hasNameOf(other);
    }

    /** Type of the entry, one of the S_IF constants; 0 when there is none. */
    public int typeOf(Directory parent, EntryPath path) throws IOException {
        return removal.typeOf(parent, path.name());
    }

    /** Makes a FIFO or a device node. */
    public void makeNode(Directory parent, EntryPath path, int type, long device, FileMetadata metadata)
            throws IOException {
        int mode = type | metadata.mode();
        try {
            Libc.mknodat(parent.number(), nameOf(path), mode, device);
        } catch (ErrnoException e) {
            removal.clearWay(parent, path, e);
            Libc.mknodat(parent.number(), nameOf(path), mode, device);
        }
        setOwner(parent, path, metadata);
        if ((mode & Libc.S_SET_ID) != 0 || parent.inherits()) {
            // this follows links, but the node was made above, and nobody else writes here
            Libc.fchmodat(parent.number(), nameOf(path), metadata.mode(), 0);
        }
        if (parent.inheritsAcl()) {
            extended.removeAcl(parent, path.name());
        }
        layerEntries.markMade(parent, path);
        setEntryTime(parent, path, metadata);
    }

    /** Sets the time of an entry that is not open: a link, FIFO or device node. */
    private void setEntryTime(Directory parent, EntryPath path, FileMetadata metadata) throws IOException {
        long time = times.set(metadata.seconds(), metadata.nanos());
        Libc.utimensat(parent.number(), nameOf(path), time, Libc.AT_SYMLINK_NOFOLLOW);
    }

    /** Leaves out a device or a hard link to one: removes what has its name, and remembers its place. */
    public void omit(EntryPath path) throws IOException {
        Directory parent = findParent(path);
        if (parent != null && typeOf(parent, path) != 0) {
            layerEntries.removedForDevice(parent, path);
            removal.clearWay(parent, path.name());
        }
        layerEntries.omitted().add(parent, path);
    }

    /** Whether the entry that would be here was left out. */
    public boolean isOmitted(@Nullable Directory parent, EntryPath path) {
        boolean isOmitted = layerEntries.omitted().contains(parent, path);
        if (isOmitted && parent != null) {
            layerEntries.hardLinkUsed(parent, path);
        }
        return isOmitted;
    }

    private long nameOf(EntryPath path) {
        return name.set(path.bytes(), path.nameStart(), path.nameLength());
    }

    private long targetOf(EntryPath path) {
        return target.set(path.bytes(), path.nameStart(), path.nameLength());
    }

    /**
     * Removes all that was made, and gives directories that were there before their attributes back. The extraction can
     * then begin again.
     */
    public void undo() throws IOException {
        cache.close();
        layerEntries.omitted().clear();
        removal.removeAllBut(existing, rootFd);
        new AttributeRestore(rootFd, extended).run(existing);
        resolver.describeRoot();
        steps.begin();
    }

    @Override
    public void close() {
        extended.close();
        resolver.close();
        rootFd.close();
        mount.close();
    }
}
