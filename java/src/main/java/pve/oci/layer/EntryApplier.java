package pve.oci.layer;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Libc;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.FileMetadata;
import pve.oci.rootfs.Rootfs;
import pve.oci.tar.EntryType;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarReader;
import pve.oci.tar.Xattr;
import pve.oci.text.Text;

/** Makes one entry of a layer that is no whiteout, by the rules of the image-spec's layer.md for its type. */
final class EntryApplier {
    private static final byte[] ACL_ACCESS = Whiteout.ascii("system.posix_acl_access");
    private static final byte[] ACL_DEFAULT = Whiteout.ascii("system.posix_acl_default");

    private final Rootfs rootfs;
    private final boolean makesDevices;
    private final EntryOwner owner;
    private final FileWriter writer;
    private final CurrentEntry current;
    private final EntryPath path;
    private final Warnings warnings;
    private final DirectoryTimes directoryTimes = new DirectoryTimes();
    private final EntryPath linkTarget = new EntryPath();

    EntryApplier(
            Rootfs rootfs,
            boolean makesDevices,
            EntryOwner owner,
            FileWriter writer,
            CurrentEntry current,
            Warnings warnings) {
        this.rootfs = rootfs;
        this.makesDevices = makesDevices;
        this.owner = owner;
        this.writer = writer;
        this.current = current;
        this.path = current.path;
        this.warnings = warnings;
    }

    /** To be called after the last entry of a layer: sets the times of its directories, which later entries changed. */
    void finishLayer() throws IOException {
        directoryTimes.apply(rootfs);
    }

    void apply(TarReader reader, LayerPipeline source) throws IOException {
        TarEntry entry = reader.entry();
        EntryType type = entry.type();
        if (path.isRoot() && type != EntryType.DIRECTORY) {
            throw current.refused("the root directory cannot be replaced by another type of entry");
        }
        if (type == EntryType.HARD_LINK) {
            // layer.md: owner, mode and time in the header of a hard link do not count
            link(entry);
            return;
        }
        @Nullable String beyond = owner.refusal(entry);
        if (beyond != null && !(type.isDevice() && !makesDevices)) {
            throw current.refused(beyond);
        }
        FileMetadata metadata = new FileMetadata(
                entry.mode(), (int) entry.uid(), (int) entry.gid(), entry.mtimeSeconds(), entry.mtimeNanos());
        switch (type) {
            case REGULAR -> file(reader, metadata, source);
            case DIRECTORY -> directory(entry, metadata);
            case SYMLINK -> symbolicLink(entry, metadata);
            case FIFO -> node(entry, Libc.S_IFIFO, 0, metadata);
            case CHARACTER_DEVICE -> device(entry, Libc.S_IFCHR, metadata);
            case BLOCK_DEVICE -> device(entry, Libc.S_IFBLK, metadata);
            case HARD_LINK -> throw new IllegalStateException("handled above");
        }
    }

    private void file(TarReader reader, FileMetadata metadata, LayerPipeline source) throws IOException {
        TarEntry entry = reader.entry();
        List<Xattr> attributes = attributes(entry);
        Directory parent = rootfs.makeParent(path);
        FileWriter.AttributeStep step = attributes.isEmpty()
                ? null
                : fd -> setAttributes(entry.type(), attributes, x -> rootfs.setAttribute(fd, x.name(), x.value()));
        writer.write(current.layer(), parent, path, metadata, reader, source, step);
    }

    private void directory(TarEntry entry, FileMetadata metadata) throws IOException {
        List<Xattr> attributes = attributes(entry);
        Directory parent = path.isRoot() ? rootfs.root() : rootfs.makeParent(path);
        boolean hasDefaultAcl = holds(attributes, ACL_DEFAULT);
        Directory directory = rootfs.makeDirectory(parent, path, metadata, hasDefaultAcl);
        setAttributes(entry.type(), attributes, x -> rootfs.setAttribute(directory.fd(), x.name(), x.value()));
        directoryTimes.add(directory, metadata);
    }

    private static boolean holds(List<Xattr> attributes, byte[] name) {
        for (Xattr attribute : attributes) {
            if (Arrays.equals(attribute.name(), name)) {
                return true;
            }
        }
        return false;
    }

    private void symbolicLink(TarEntry entry, FileMetadata metadata) throws IOException {
        if (entry.linkNameLength() == 0) {
            throw current.refused("symbolic link with an empty target");
        }
        if (entry.linkNameLength() >= EntryPath.PATH_MAX) {
            throw current.limit(
                    "size of a link name", EntryPath.PATH_MAX - 1, "target of the symbolic link is too long");
        }
        List<Xattr> attributes = attributes(entry);
        Directory parent = rootfs.makeParent(path);
        rootfs.makeSymbolicLink(parent, path, entry.linkName(), entry.linkNameLength(), metadata);
        setAttributes(entry.type(), attributes, x -> rootfs.setAttribute(parent, path, x.name(), x.value()));
    }

    private void node(TarEntry entry, int type, long device, FileMetadata metadata) throws IOException {
        List<Xattr> attributes = attributes(entry);
        Directory parent = rootfs.makeParent(path);
        rootfs.makeNode(parent, path, type, device, metadata);
        setAttributes(entry.type(), attributes, x -> rootfs.setAttribute(parent, path, x.name(), x.value()));
    }

    private void device(TarEntry entry, int type, FileMetadata metadata) throws IOException {
        long major = entry.deviceMajor();
        long minor = entry.deviceMinor();
        // overlayfs marks removed files by character devices 0:0. The kernel lets a user namespace make them, but no
        // image has a use for them
        boolean isOverlayWhiteout = type == Libc.S_IFCHR && major == 0 && minor == 0;
        boolean isValid = major >= 0 && major < 1 << 12 && minor >= 0 && minor < 1 << 20;
        if (makesDevices && !isOverlayWhiteout && isValid) {
            // glibc's makedev(3), 64 bits
            long number = ((major & 0xfffff000L) << 32)
                    | ((major & 0xfff) << 8)
                    | ((minor & 0xffffff00L) << 12)
                    | (minor & 0xff);
            node(entry, type, number, metadata);
            return;
        }
        rootfs.omit(path);
        String kind = type == Libc.S_IFCHR ? "character" : "block";
        String reason = isOverlayWhiteout
                ? "is overlayfs's mark for a removed file"
                : isValid ? "cannot be made in a user namespace" : "has a number that Linux does not have";
        warn("deviceNode", kind + " device " + major + ":" + minor + " " + reason);
    }

    private void link(TarEntry entry) throws IOException {
        if (entry.linkNameLength() == 0) {
            throw current.refused("hard link with an empty target");
        }
        current.set(linkTarget, entry.linkName(), entry.linkNameLength(), "hard link target");
        String target = "hard link to " + linkTarget;
        try {
            link(target);
        } catch (ErrnoException e) {
            throw current.failed(e, target + linkFailure(e));
        }
    }

    /** Explains why a hard link could not be made; empty if the errno says enough. */
    private static String linkFailure(ErrnoException e) {
        return switch (e.errno()) {
            case Errno.EMLINK -> ", which has as many names as its file system allows";
            case Errno.ENOENT -> ", which is gone with what the link replaces";
            default -> "";
        };
    }

    /**
     * Makes a hard link. A link to itself is refused, by whatever paths it leads to its own name. If the name is
     * already a link to that file, it stays, because replacing it would give the same result (layer.md, Applying:
     * remove, then recreate).
     */
    private void link(String target) throws IOException {
        Directory targetParent = linkTarget.isRoot() ? null : rootfs.findParent(linkTarget);
        if (linkTarget.isSame(path)
                || (targetParent != null
                        && rootfs.isSameEntry(rootfs.findParent(path), path, targetParent, linkTarget))) {
            throw current.refused(target + " is a link to itself");
        }
        if (targetParent != null && rootfs.tryHardLink(path, targetParent, linkTarget)) {
            return;
        }
        int type =
                linkTarget.isRoot() ? Libc.S_IFDIR : targetParent == null ? 0 : rootfs.typeOf(targetParent, linkTarget);
        if (type == Libc.S_IFDIR) {
            throw current.refused(target + ", which is a directory");
        }
        if (type == 0 && rootfs.isOmitted(targetParent, linkTarget)) {
            rootfs.omit(path);
            warn("deviceNode", target + ", a device that was left out");
            return;
        }
        Directory parent = type == 0 ? null : rootfs.makeParent(path);
        targetParent = type == 0 ? null : rootfs.findParent(linkTarget);
        if (parent == null || targetParent == null) {
            throw current.refused(target + ", which does not exist");
        }
        rootfs.makeHardLink(parent, path, targetParent, linkTarget);
    }

    /** The entry's attributes. Access control lists that come as text are converted to what the kernel takes. */
    private List<Xattr> attributes(TarEntry entry) {
        List<Xattr> attributes = entry.xattrs();
        if (attributes.isEmpty()) {
            return attributes;
        }
        List<Xattr> all = new ArrayList<>();
        List<String> leftOut = new ArrayList<>();
        for (Xattr attribute : attributes) {
            byte @Nullable [] name = aclName(attribute);
            byte @Nullable [] value = name == null ? null : AclText.toAttribute(attribute.value());
            if (name == null) {
                all.add(attribute);
            } else if (!holds(attributes, name)) {
                if (value == null) {
                    leftOut.add(Text.name(attribute.name()));
                } else {
                    all.add(new Xattr(name, value));
                }
            }
        }
        if (!leftOut.isEmpty()) {
            warn(
                    "extendedAttribute",
                    String.join(" and ", leftOut) + ": not every user and group of the list has a number");
        }
        return all;
    }

    private static byte @Nullable [] aclName(Xattr attribute) {
        if (Arrays.equals(attribute.name(), Whiteout.ascii(Xattr.ACL_ACCESS_TEXT))) {
            return ACL_ACCESS;
        }
        return Arrays.equals(attribute.name(), Whiteout.ascii(Xattr.ACL_DEFAULT_TEXT)) ? ACL_DEFAULT : null;
    }

    /** Sets one attribute of the entry at work. */
    private interface AttributeSetter {
        void set(Xattr attribute) throws IOException;
    }

    private void setAttributes(EntryType type, List<Xattr> attributes, AttributeSetter setter) throws IOException {
        for (Xattr attribute : attributes) {
            @Nullable String reason = XattrPolicy.refusal(attribute.name(), type);
            if (reason == null) {
                try {
                    setter.set(attribute);
                } catch (ErrnoException e) {
                    // ENOSPC is no failure here: ext4 also returns it when one file's attributes do not fit into a
                    // block. If the file system is full, the next write fails
                    if (e.errno() == Errno.EDQUOT || e.errno() == Errno.EIO) {
                        throw e;
                    }
                    reason = "was refused: " + e.getMessage();
                }
            }
            if (reason != null) {
                warn("extendedAttribute", Text.name(attribute.name()) + " " + reason);
            }
        }
    }

    private void warn(String what, String detail) {
        warnings.add(current.layer(), path.toString(), what, detail);
    }
}
