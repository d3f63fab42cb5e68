package pve.oci.layer;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Libc;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.WhiteoutOrderException;
import pve.oci.tar.EntryType;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarFormatException;
import pve.oci.tar.TarLimitException;
import pve.oci.tar.TarReader;
import pve.oci.tar.Xattr;
import pve.oci.text.Text;

/**
 * Applies the entries of layers to a {@link Rootfs}, one layer after the other: the rules of the image-spec's layer.md.
 * Refusals and failures come out as {@link ImageException}s that name layer and entry.
 */
public final class LayerApplier implements AutoCloseable {
    private static final byte[] ACL_DEFAULT = Whiteout.ascii("system.posix_acl_default");

    private final Rootfs rootfs;
    private final LayerLimits limits;
    private final Progress progress;
    private final boolean makesDevices;
    private final EntryOwner owner;
    private final Warnings warnings = new Warnings();
    private final DirectoryTimes directoryTimes = new DirectoryTimes();
    private final LeftOut leftOut = new LeftOut();
    private final EntryPath path = new EntryPath();
    private final EntryPath linkTarget = new EntryPath();
    private final FileWriter writer;
    private Pass pass = Pass.ALL;
    private long whiteouts;
    private long entries;

    /** Content of whiteouts: it is not written, but decompressed like any other. */
    private long ignoredBytes;

    /**
     * @param uids ids inside the container's namespace; empty for a privileged container
     * @param gids likewise
     */
    public LayerApplier(
            Rootfs rootfs, IdMap uids, IdMap gids, boolean isPrivileged, LayerLimits limits, Progress progress) {
        this.rootfs = rootfs;
        this.limits = limits;
        this.progress = progress;
        this.makesDevices = isPrivileged;
        owner = new EntryOwner(uids, gids);
        writer = new FileWriter(rootfs, progress);
    }

    public Warnings warnings() {
        return warnings;
    }

    public long whiteouts() {
        return whiteouts;
    }

    /** What is done with a layer's entries while it is read once. */
    public enum Pass {
        /** Everything, in one go. */
        ALL,
        /** Only its whiteouts. */
        WHITEOUTS,
        /** All but its whiteouts. */
        ENTRIES
    }

    /**
     * Applies the layer that the pipeline gives next, to its end. The content is verified by the caller.
     *
     * @throws WhiteoutOrderException in the pass ALL, when it has to be two
     */
    public void apply(Layer layer, LayerPipeline source, Pass thisPass) throws IOException {
        pass = thisPass;
        long entriesBefore = entries;
        long ignoredBefore = ignoredBytes;
        rootfs.beginLayer(layer.index() == 0, pass == Pass.ALL);
        progress.layer(layer.index());
        source.beginLayer();
        writer.deferred().begin(source);
        TarReader reader = new TarReader(source, limits.tar());
        boolean isAtEntry = false;
        try {
            while (reader.next()) {
                isAtEntry = true;
                apply(layer, reader, source);
                isAtEntry = false;
            }
            readTrailer(layer, source);
            writer.deferred().drain();
            checkDeferred();
            directoryTimes.apply(rootfs);
            if (pass == Pass.WHITEOUTS) {
                // all of it comes once more
                entries = entriesBefore;
                ignoredBytes = ignoredBefore;
            }
        } catch (ErrnoException e) {
            throw failed(layer, e);
        } catch (TarLimitException e) {
            throw limit(layer, e.limit(), e.maximum(), String.valueOf(e.getMessage()), isAtEntry);
        } catch (TarFormatException e) {
            throw ImageException.of("MalformedArchive")
                    .with("blobDigest", layer.descriptor().digest().toString())
                    .with("offset", e.offset())
                    .cause(e)
                    .message(layer + (isAtEntry ? ", entry " + path : "") + ": " + e.getMessage());
        }
    }

    /** What follows the end of the archive is ignored, but counts for the diff ID, and as much as anything written. */
    private void readTrailer(Layer layer, LayerPipeline source) throws IOException {
        long trailer = 0;
        while (source.advance()) {
            trailer += source.buffer().remaining();
            if (trailer > allowance()) {
                throw limit(
                        layer, "maximumSize", limits.maximumSize(), "too large after the end of the archive", false);
            }
        }
    }

    private void apply(Layer layer, TarReader reader, LayerPipeline source) throws IOException {
        TarEntry entry = reader.entry();
        setPath(layer, path, entry.name(), entry.nameLength(), "name");
        if (++entries > limits.maximumEntries()) {
            throw limit(layer, "maximumEntries", limits.maximumEntries(), "too many entries", true);
        }
        if (entry.size() > allowance()) {
            throw limit(layer, "maximumSize", limits.maximumSize(), "content is too large", true);
        }
        Whiteout whiteout = Whiteout.of(path, entry.type());
        if (whiteout != Whiteout.NONE || pass == Pass.WHITEOUTS) {
            ignoredBytes += entry.size();
        }
        switch (whiteout) {
            case NONE -> {
                if (pass != Pass.WHITEOUTS) {
                    create(layer, reader, entry, source);
                    progress.wroteEntry();
                }
            }
            case METADATA -> {}
            case INVALID -> throw refused(layer, "whiteout without a name to remove");
            case ENTRY, OPAQUE -> {
                if (pass != Pass.ENTRIES) {
                    remove(whiteout);
                }
            }
        }
    }

    /** How many bytes may still be written, or passed over. */
    private long allowance() {
        return limits.maximumSize() - progress.bytesWritten() - ignoredBytes;
    }

    private void setPath(Layer layer, EntryPath into, byte[] name, int length, String what) throws ImageException {
        switch (into.set(name, length)) {
            case NONE -> {}
            case LEAVES_ROOT ->
                throw EntryErrors.refused(
                        layer, Text.name(name, length), what + " has a '..' that leads outside the root directory");
            case TOO_LONG ->
                throw limit(layer, "size of a " + what, EntryPath.PATH_MAX - 1, what + " is too long", false);
        }
    }

    private void remove(Whiteout whiteout) throws IOException {
        Directory parent = rootfs.findParent(path);
        whiteouts++;
        if (parent == null || parent.isViaMadeLink()) {
            // a link of this layer has replaced what lower layers have there
            return;
        }
        if (whiteout == Whiteout.OPAQUE) {
            rootfs.removeLowerChildren(parent, path);
        } else {
            path.cutNamePrefix(Whiteout.PREFIX_LENGTH);
            rootfs.removeLowerEntry(parent, path);
        }
    }

    private void create(Layer layer, TarReader reader, TarEntry entry, LayerPipeline source) throws IOException {
        EntryType type = entry.type();
        if (path.isRoot() && type != EntryType.DIRECTORY) {
            throw refused(layer, "the root directory cannot be replaced by another type of entry");
        }
        if (type == EntryType.HARD_LINK) {
            // layer.md: the header of a link says nothing of the file
            link(layer, entry);
            return;
        }
        @Nullable String beyond = owner.refusal(entry);
        if (beyond != null && !(type.isDevice() && !makesDevices)) {
            throw refused(layer, beyond);
        }
        int uid = (int) entry.uid();
        int gid = (int) entry.gid();
        switch (type) {
            case REGULAR -> file(layer, reader, entry, source);
            case DIRECTORY -> directory(layer, entry, uid, gid);
            case SYMLINK -> symbolicLink(layer, entry, uid, gid);
            case FIFO -> node(layer, entry, Libc.S_IFIFO, 0, uid, gid);
            case CHARACTER_DEVICE -> device(layer, entry, Libc.S_IFCHR, uid, gid);
            case BLOCK_DEVICE -> device(layer, entry, Libc.S_IFBLK, uid, gid);
            case HARD_LINK -> throw new IllegalStateException("handled above");
        }
    }

    private void file(Layer layer, TarReader reader, TarEntry entry, LayerPipeline source) throws IOException {
        Directory parent = rootfs.makeParent(path);
        FileWriter.AttributeStep attributes = entry.xattrs().isEmpty()
                ? null
                : fd -> setAttributes(
                        layer, entry, attribute -> rootfs.setAttribute(fd, attribute.name(), attribute.value()));
        writer.write(layer, parent, path, reader, source, attributes);
        checkDeferred();
    }

    /** A file that was handed over earlier may have failed since. */
    private void checkDeferred() throws ImageException {
        DeferredWrites.Failure failure = writer.deferred().failure();
        if (failure != null) {
            throw EntryErrors.failed(failure.layer(), failure.entryPath(), failure.reason());
        }
    }

    private void directory(Layer layer, TarEntry entry, int uid, int gid) throws IOException {
        Directory parent = path.isRoot() ? rootfs.root() : rootfs.makeParent(path);
        boolean hasDefaultAcl = entry.xattrs().stream().anyMatch(x -> java.util.Arrays.equals(x.name(), ACL_DEFAULT));
        Directory directory = rootfs.makeDirectory(parent, path, entry.mode(), uid, gid, hasDefaultAcl);
        setAttributes(
                layer,
                entry,
                attribute -> rootfs.setAttribute(directory.number(), attribute.name(), attribute.value()));
        directoryTimes.add(path, directory, entry.mtimeSeconds(), entry.mtimeNanos());
    }

    private void symbolicLink(Layer layer, TarEntry entry, int uid, int gid) throws IOException {
        if (entry.linkNameLength() == 0) {
            throw refused(layer, "symbolic link with an empty target");
        }
        if (entry.linkNameLength() >= EntryPath.PATH_MAX) {
            throw limit(
                    layer,
                    "size of a link name",
                    EntryPath.PATH_MAX - 1,
                    "target of the symbolic link is too long",
                    true);
        }
        Directory parent = rootfs.makeParent(path);
        rootfs.makeSymbolicLink(parent, path, entry.linkName(), entry.linkNameLength(), uid, gid);
        setAttributes(
                layer, entry, attribute -> rootfs.setAttribute(parent, path, attribute.name(), attribute.value()));
        rootfs.setEntryTime(parent, path, entry.mtimeSeconds(), entry.mtimeNanos());
    }

    private void node(Layer layer, TarEntry entry, int type, long device, int uid, int gid) throws IOException {
        Directory parent = rootfs.makeParent(path);
        rootfs.makeNode(parent, path, type | entry.mode(), device, uid, gid);
        setAttributes(
                layer, entry, attribute -> rootfs.setAttribute(parent, path, attribute.name(), attribute.value()));
        rootfs.setEntryTime(parent, path, entry.mtimeSeconds(), entry.mtimeNanos());
    }

    private void device(Layer layer, TarEntry entry, int type, int uid, int gid) throws IOException {
        long major = entry.deviceMajor();
        long minor = entry.deviceMinor();
        // overlayfs marks removed files by character devices 0:0; no image has a use for it, and the kernel would let
        // a user namespace make it
        boolean isOverlayWhiteout = type == Libc.S_IFCHR && major == 0 && minor == 0;
        boolean isValid = major >= 0 && major < 1 << 12 && minor >= 0 && minor < 1 << 20;
        if (makesDevices && !isOverlayWhiteout && isValid) {
            // glibc's makedev(3), 64 bits
            long number = ((major & 0xfffff000L) << 32)
                    | ((major & 0xfff) << 8)
                    | ((minor & 0xffffff00L) << 12)
                    | (minor & 0xff);
            node(layer, entry, type, number, uid, gid);
            return;
        }
        Directory parent = rootfs.findParent(path);
        if (parent != null) {
            rootfs.removeEntry(parent, path);
        }
        leftOut.add(path);
        String kind = type == Libc.S_IFCHR ? "character" : "block";
        String reason = isOverlayWhiteout
                ? "is overlayfs's mark for a removed file"
                : isValid ? "cannot be made in a user namespace" : "has a number that Linux does not have";
        warnings.add(layer, path.toString(), "deviceNode", kind + " device " + major + ":" + minor + " " + reason);
    }

    private void link(Layer layer, TarEntry entry) throws IOException {
        if (entry.linkNameLength() == 0) {
            throw refused(layer, "hard link with an empty target");
        }
        setPath(layer, linkTarget, entry.linkName(), entry.linkNameLength(), "hard link target");
        String target = "hard link to " + linkTarget;
        if (linkTarget.isSame(path)) {
            throw refused(layer, target + " is a link to itself");
        }
        Directory targetParent = linkTarget.isRoot() ? null : rootfs.findParent(linkTarget);
        if (targetParent != null && rootfs.tryHardLink(path, targetParent, linkTarget)) {
            return;
        }
        int type =
                linkTarget.isRoot() ? Libc.S_IFDIR : targetParent == null ? 0 : rootfs.typeOf(targetParent, linkTarget);
        if (type == Libc.S_IFDIR) {
            throw refused(layer, target + ", which is a directory");
        }
        if (type == 0) {
            if (leftOut.contains(linkTarget)) {
                Directory parent = rootfs.findParent(path);
                if (parent != null) {
                    rootfs.removeEntry(parent, path);
                }
                leftOut.add(path);
                warnings.add(layer, path.toString(), "deviceNode", target + ", a device that was left out");
                return;
            }
            throw refused(layer, target + ", which does not exist");
        }
        Directory parent = rootfs.makeParent(path);
        targetParent = rootfs.findParent(linkTarget);
        if (targetParent == null) {
            throw refused(layer, target + ", which does not exist");
        }
        rootfs.makeHardLink(parent, path, targetParent, linkTarget);
    }

    /** Sets one attribute of the entry at work. */
    private interface AttributeSetter {
        void set(Xattr attribute) throws IOException;
    }

    private void setAttributes(Layer layer, TarEntry entry, AttributeSetter setter) throws IOException {
        List<Xattr> attributes = entry.xattrs();
        for (int i = 0; i < attributes.size(); i++) {
            Xattr attribute = attributes.get(i);
            @Nullable String reason = XattrPolicy.refusal(attribute.name(), entry.type());
            if (reason == null) {
                try {
                    setter.set(attribute);
                } catch (ErrnoException e) {
                    // ENOSPC is also what ext4 says when one file's attributes do not fit into a block; a file system
                    // that
                    // is full says so again at the next write
                    if (e.errno() == Errno.EDQUOT || e.errno() == Errno.EIO) {
                        throw e;
                    }
                    reason = "was refused: " + e.getMessage();
                }
            }
            if (reason != null) {
                warnings.add(layer, path.toString(), "extendedAttribute", Text.name(attribute.name()) + " " + reason);
            }
        }
    }

    private ImageException failed(Layer layer, ErrnoException e) {
        return EntryErrors.failed(layer, path.toString(), e);
    }

    private ImageException refused(Layer layer, String reason) {
        return EntryErrors.refused(layer, path.toString(), reason);
    }

    private ImageException limit(Layer layer, String name, long maximum, String what, boolean isAtEntry) {
        return EntryErrors.limit(layer, isAtEntry ? path.toString() : null, name, maximum, what);
    }

    /** Ends the threads that write; what they hold open is closed when this returns. */
    @Override
    public void close() {
        writer.close();
    }
}
