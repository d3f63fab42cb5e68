package pve.oci.update;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FdInputStream;
import pve.oci.linux.FdOutputStream;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.UpdateCalls;
import pve.oci.mtree.PathSet;
import pve.oci.rootfs.EntryPath;

/**
 * What is needed to finish an update, or to take it back: which paths stay where they are, and the attributes of the
 * directories above them. It holds neither names nor inode numbers: the tree itself shows which step comes next, even a
 * tree that was restored from a backup.
 *
 * @param kept paths that are never moved; each exists
 * @param directories the root ("") and every directory above a kept path, parents first
 */
record Journal(Phase phase, PathSet kept, Map<String, Kept> directories) {
    /** @param after null: the new image has no such directory, so it stays as it is */
    record Kept(DirectoryAttributes before, @Nullable DirectoryAttributes after) {}

    private static final CString FILE = CString.of("journal");
    private static final CString NEW_FILE = CString.of("journal.new");
    private static final int VERSION = 1;
    private static final Set<String> NO_NAMES = Set.of("", ".", "..");
    private static final int MAXIMUM_SIZE = 4 << 20;
    private static final JsonLimits LIMITS = new JsonLimits(8, MAXIMUM_SIZE, 200_000);

    Journal with(Phase next) {
        return new Journal(next, kept, directories);
    }

    /** Replaces the journal. When this returns, the new one is on the disk. */
    void write(Fd control) throws IOException {
        byte[] content = Json.write(toJson());
        if (content.length > MAXIMUM_SIZE) {
            throw KeptPaths.conflict("so many paths are kept that the journal would be larger than " + MAXIMUM_SIZE
                    + " bytes: keep a directory above them");
        }
        try {
            Libc.unlinkat(control.number(), NEW_FILE.address(), 0);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
        int flags = Libc.O_WRONLY | Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        Fd fd = new Fd(Libc.openat(control.number(), NEW_FILE.address(), flags, 0600));
        try (FdOutputStream stream = new FdOutputStream(fd)) {
            stream.write(content);
            UpdateCalls.fsync(fd.number());
        }
        Libc.renameat(control.number(), NEW_FILE.address(), control.number(), FILE.address());
        UpdateCalls.fsync(control.number());
    }

    /** Reads the journal of a control directory. Null if there is none: then the new tree is not complete yet. */
    static @Nullable Journal read(Fd control) throws IOException {
        Fd fd;
        try {
            int flags = Libc.O_RDONLY | Libc.O_NOFOLLOW | Libc.O_NONBLOCK | Libc.O_CLOEXEC;
            fd = new Fd(Libc.openat(control.number(), FILE.address(), flags, 0));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            throw e.errno() == Errno.ELOOP ? damaged() : e;
        }
        try (FdInputStream stream = new FdInputStream(fd)) {
            FileStatus status = new FileStatus().read(fd.number());
            if (status.type() != Libc.S_IFREG || status.size() > MAXIMUM_SIZE) {
                throw damaged();
            }
            // the file may have grown since its size was read
            return ofJson(Json.parseObject(stream.readNBytes(MAXIMUM_SIZE), LIMITS));
        } catch (JsonFormatException | IllegalArgumentException e) {
            throw damaged();
        }
    }

    private static UpdateException damaged() {
        return new UpdateException(
                UpdateException.Reason.UPDATE_PENDING,
                "the journal of an update, /" + ControlDirectory.UPDATE + "/journal, was changed by somebody else:"
                        + " look at the folder, and remove it or restore a backup");
    }

    private Map<String, @Nullable Object> toJson() {
        List<Object> list = new ArrayList<>();
        directories.forEach((path, each) -> {
            Map<String, @Nullable Object> json = new LinkedHashMap<>();
            json.put("path", path);
            json.put("before", each.before().toJson());
            if (each.after() != null) {
                json.put("after", each.after().toJson());
            }
            list.add(json);
        });
        List<String> paths = new ArrayList<>();
        kept.paths().forEach(paths::add);
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("version", VERSION);
        json.put("phase", phase.name().toLowerCase(Locale.ROOT));
        json.put("kept", paths);
        json.put("directories", list);
        return json;
    }

    private static boolean isBelowRoot(String path) {
        return path.length() < EntryPath.PATH_MAX
                && (path.isEmpty() || List.of(path.split("/", -1)).stream().noneMatch(NO_NAMES::contains));
    }

    private static Journal ofJson(Map<String, @Nullable Object> json) {
        if (!(json.get("kept") instanceof List<?> paths)
                || !(json.get("directories") instanceof List<?> list)
                || !(json.get("phase") instanceof String phase)) {
            throw new IllegalArgumentException("journal");
        }
        Map<String, Kept> directories = new LinkedHashMap<>();
        for (Object each : list) {
            if (!(each instanceof Map<?, ?> map) || !(map.get("path") instanceof String path) || !isBelowRoot(path)) {
                throw new IllegalArgumentException("directory");
            }
            directories.put(
                    path,
                    new Kept(
                            DirectoryAttributes.ofJson(map.get("before")),
                            map.get("after") == null ? null : DirectoryAttributes.ofJson(map.get("after"))));
        }
        PathSet kept = new PathSet(paths.stream().map(String::valueOf).toList());
        return new Journal(Phase.valueOf(phase.toUpperCase(Locale.ROOT)), kept, directories);
    }
}
