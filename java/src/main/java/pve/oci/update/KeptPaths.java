package pve.oci.update;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.mtree.PathSet;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.PathOpener;
import pve.oci.text.Text;

/**
 * Finds where the paths that are to be kept really lie, because the path of a volume may lead through links. Links are
 * followed as in the container, where the root directory is "/". This only decides which paths are kept. Directories
 * are always opened by paths without links, and the kernel refuses links in them.
 */
final class KeptPaths {
    /** include/linux/namei.h: MAXSYMLINKS */
    private static final int MAXIMUM_LINKS = 40;

    private final PathOpener opener = new PathOpener();
    private final FileStatus status = new FileStatus();
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final NativeBuffer link = NativeBuffer.allocate(EntryPath.PATH_MAX);

    /**
     * Where a path leads.
     *
     * @param path the path without links; the part of it that does not exist is as it was given
     * @param links links that the last component led through: whoever keeps the path keeps them too
     */
    record Found(String path, boolean exists, List<String> links) {}

    /** @param path as bytes in ISO 8859-1, with or without a leading slash */
    Found find(Fd root, String path) throws IOException {
        Deque<String> todo = components(path);
        List<String> done = new ArrayList<>();
        List<String> links = new ArrayList<>();
        int count = 0;
        while (!todo.isEmpty()) {
            String next = todo.remove();
            if (next.equals("..")) {
                if (!done.isEmpty()) {
                    done.remove(done.size() - 1);
                }
                continue;
            }
            String full = String.join("/", append(done, next));
            Integer type = typeOf(root, String.join("/", done), next);
            if (type == null || (type != Libc.S_IFDIR && type != Libc.S_IFLNK && !todo.isEmpty())) {
                List<String> rest = append(done, next);
                rest.addAll(todo);
                return new Found(String.join("/", rest), false, links);
            }
            if (type != Libc.S_IFLNK) {
                done.add(next);
                continue;
            }
            if (++count > MAXIMUM_LINKS) {
                throw conflict("'/" + asked(path) + "' cannot be kept: its links lead in a circle");
            }
            if (todo.isEmpty()) {
                links.add(full);
            }
            String target = target(root, String.join("/", done), next);
            if (target.startsWith("/")) {
                done.clear();
            }
            List<String> way = new ArrayList<>(components(target));
            way.addAll(todo);
            todo = new ArrayDeque<>(way);
        }
        return new Found(String.join("/", done), true, links);
    }

    private static Deque<String> components(String path) {
        Deque<String> components = new ArrayDeque<>();
        for (String component : path.split("/", -1)) {
            if (!component.isEmpty() && !component.equals(".")) {
                components.add(component);
            }
        }
        return components;
    }

    private static List<String> append(List<String> list, String last) {
        List<String> longer = new ArrayList<>(list);
        longer.add(last);
        return longer;
    }

    /** One of the S_IF constants; null if there is nothing. */
    private @Nullable Integer typeOf(Fd root, String directory, String last) throws IOException {
        try (Fd fd = opener.directory(root, PathSet.bytes(directory))) {
            return status.read(fd.number(), set(last)).type();
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENAMETOOLONG) {
                return null;
            }
            throw e;
        }
    }

    private String target(Fd root, String directory, String last) throws IOException {
        try (Fd fd = opener.directory(root, PathSet.bytes(directory))) {
            int length = (int) Libc.readlinkat(fd.number(), set(last), link.address(), link.size());
            byte[] bytes = new byte[length];
            link.buffer().get(0, bytes);
            return PathSet.text(bytes);
        }
    }

    private long set(String text) {
        byte[] bytes = PathSet.bytes(text);
        return name.set(bytes, 0, Math.min(bytes.length, EntryPath.PATH_MAX - 1));
    }

    /** A path as it was given, for messages, without its leading slash. */
    private static String asked(String path) {
        return shown(path.replaceAll("^/+", ""));
    }

    static String shown(String path) {
        return Text.name(PathSet.bytes(path));
    }

    static UpdateException conflict(String message) {
        return new UpdateException(UpdateException.Reason.UPDATE_CONFLICT, message);
    }

    /** Resolves the paths that are to be kept. Paths that do not exist are left out. */
    PathSet resolve(Fd root, List<String> asked) throws IOException {
        List<String> paths = new ArrayList<>();
        for (String each : asked) {
            Found found = find(root, each);
            if (found.path().isEmpty() || Arrays.stream(each.split("/", -1)).allMatch(String::isEmpty)) {
                throw conflict("'" + shown(each) + "' cannot be kept: it is the whole root file system");
            }
            requireNotOurs(each, found.path());
            for (String through : found.links()) {
                requireNotOurs(each, through);
            }
            if (found.exists()) {
                paths.add(found.path());
            }
            paths.addAll(found.links());
        }
        return new PathSet(paths);
    }

    /**
     * Nothing in a folder of an update may be kept, even if it is not there yet: what is next to it would be moved, the
     * journal too.
     */
    private static void requireNotOurs(String asked, String path) throws UpdateException {
        if (ControlDirectory.isOurs(path)) {
            throw conflict("'/" + asked(asked) + "' cannot be kept: it leads to '/" + shown(path)
                    + "', and names there that begin with '.pve.' belong to pve-oci: leave it out, or mend the link");
        }
    }

    /** Requires that each path leads to the same place in both trees, as far as the new tree has it. */
    void check(Fd root, Fd fresh, List<String> asked) throws IOException {
        for (String each : asked) {
            Found before = find(root, each);
            if (!before.exists()) {
                continue;
            }
            Found after = find(fresh, each);
            if (!after.path().equals(before.path()) && before.links().isEmpty()) {
                throw conflict("'/" + asked(each) + "' is kept: it leads to '/" + shown(before.path())
                        + "' now and to '/" + shown(after.path()) + "' in the new image");
            }
        }
    }

    /** A subvolume of btrfs has a device number of its own, and rename(2) moves nothing out of it. */
    static void requireDevice(long device, Fd directory, String path) throws IOException {
        if (new FileStatus().read(directory.number()).device() != device) {
            throw conflict("'/" + shown(path)
                    + "' is a subvolume above something that is kept: nothing can be moved out of it, so keep '/"
                    + shown(path) + "' itself");
        }
    }
}
