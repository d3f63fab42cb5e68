package pve.oci.service;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.text.Text;
import pve.oci.varlink.ServerCall;
import pve.oci.varlink.VarlinkException;

/**
 * The directory that becomes a container's root, as a detached mount: a bare descriptor would let a worker walk out by
 * {@code ..}. Nothing of an image is in it while this class looks at it.
 */
final class RootDirectory implements AutoCloseable {
    private static final long MOUNT_ATTRIBUTES =
            Libc.MOUNT_ATTR_NOSUID | Libc.MOUNT_ATTR_NODEV | Libc.MOUNT_ATTR_NOEXEC;
    private static final int MAXIMUM_DEPTH = 64;

    private final Fd tree;
    private final String name;
    private int formerUid;
    private int formerGid;
    private boolean ownerChanged;

    private RootDirectory(Fd tree, String name) {
        this.tree = tree;
        this.name = name;
    }

    static RootDirectory open(ServerCall call, JobParameters parameters, IdMaps maps, List<Path> protectedPaths)
            throws VarlinkException {
        PeerRules.requireRoot(call.peer(), "extraction");
        String path = parameters.rootDirectory();
        Long index = parameters.rootDirectoryFileDescriptor();
        OpenFiles.requireExactlyOne("rootDirectory", path, "rootDirectoryFileDescriptor", index);
        if (path != null) {
            try (Fd directory = OpenFiles.path(call, "rootDirectory", path, Libc.O_DIRECTORY)) {
                return open(directory, "rootDirectory", path, maps, protectedPaths);
            }
        }
        Fd passed = OpenFiles.descriptor(call, "rootDirectoryFileDescriptor", index == null ? -1 : index);
        PeerRules.requireOurMountNamespace(call.peer(), "rootDirectoryFileDescriptor");
        return open(passed, "rootDirectoryFileDescriptor", "root directory", maps, protectedPaths);
    }

    private static RootDirectory open(
            Fd directory, String parameter, String name, IdMaps maps, List<Path> protectedPaths)
            throws VarlinkException {
        RootDirectory opened = null;
        try {
            FileStatus status = new FileStatus().read(directory.number());
            if (!status.isDirectory()) {
                throw OciErrors.invalidArgument(parameter, Text.clean(name) + " is not a directory");
            }
            requireUnprotected(status, parameter, name, protectedPaths);
            opened = new RootDirectory(Mounts.cloneTree(directory, MOUNT_ATTRIBUTES), name);
            opened.requireEmpty();
            opened.giveTo((int) maps.uid().mappedRoot(), (int) maps.gid().mappedRoot());
            return opened;
        } catch (ErrnoException e) {
            closeAfterFailure(opened);
            throw OciErrors.systemError(name, name, e);
        } catch (VarlinkException e) {
            closeAfterFailure(opened);
            throw e;
        }
    }

    private static void closeAfterFailure(@Nullable RootDirectory opened) {
        if (opened != null) {
            opened.close();
        }
    }

    /** The host's root, or a directory above the daemon's own files, whatever name it goes by. */
    private static void requireUnprotected(FileStatus root, String parameter, String name, List<Path> protectedPaths)
            throws VarlinkException {
        FileStatus other = new FileStatus();
        for (Path protectedPath : protectedPaths) {
            for (Path path = protectedPath; path != null; path = path.getParent()) {
                try {
                    other.read(
                            Libc.AT_FDCWD,
                            CString.of(path.toString().getBytes(StandardCharsets.UTF_8))
                                    .address());
                } catch (ErrnoException e) {
                    continue;
                }
                if (other.inode() == root.inode() && other.device() == root.device()) {
                    throw OciErrors.invalidArgument(
                            parameter, Text.clean(name) + " cannot be a root directory: it holds " + protectedPath);
                }
            }
        }
    }

    /** Directories may stand in it: mount points of further volumes, and the lost+found of a file system. */
    private void requireEmpty() throws VarlinkException {
        Path top = Path.of("/proc/self/fd/" + tree.number());
        try {
            Path found = firstNonDirectory(top, 0);
            if (found != null) {
                throw OciErrors.rootDirectoryNotEmpty(
                        name, top.relativize(found).toString());
            }
        } catch (IOException e) {
            throw OciErrors.invalidArgument(
                    "rootDirectory",
                    Text.clean(name) + " cannot be read: " + Text.clean(String.valueOf(e.getMessage())));
        }
    }

    private static @Nullable Path firstNonDirectory(Path directory, int depth) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            for (Path entry : entries) {
                if (!Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS) || depth >= MAXIMUM_DEPTH) {
                    return entry;
                }
                Path found = firstNonDirectory(entry, depth + 1);
                if (found != null) {
                    return found;
                }
            }
        }
        return null;
    }

    /** The worker may write where its own root is the owner: CAP_DAC_OVERRIDE ends at IDs that are not mapped. */
    private void giveTo(int uid, int gid) throws ErrnoException {
        FileStatus status = new FileStatus().read(tree.number());
        formerUid = status.uid();
        formerGid = status.gid();
        if (formerUid != uid || formerGid != gid) {
            Libc.fchownat(tree.number(), CString.EMPTY, uid, gid, Libc.AT_EMPTY_PATH);
            ownerChanged = true;
        }
    }

    /** After a failure it is whose it was. */
    void giveBack() {
        if (ownerChanged) {
            try {
                Libc.fchownat(tree.number(), CString.EMPTY, formerUid, formerGid, Libc.AT_EMPTY_PATH);
            } catch (ErrnoException e) {
                // the failure that is being answered is what the client has to know
            }
        }
    }

    Fd tree() {
        return tree;
    }

    String name() {
        return name;
    }

    @Override
    public void close() {
        tree.close();
    }
}
