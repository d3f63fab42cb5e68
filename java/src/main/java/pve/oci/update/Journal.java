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
import pve.oci.mtree.Changes;
import pve.oci.mtree.PathSet;
import pve.oci.mtree.TreeRecord;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.Steps;

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
    private static final CString RESERVE = CString.of("reserve");
    private static final int RESERVE_SIZE = 1 << 16;
    private static final Set<Integer> FULL = Set.of(Errno.ENOSPC, Errno.EDQUOT);
    private static final int VERSION = 1;
    private static final Set<String> NO_NAMES = Set.of("", ".", "..");
    /** What open(2) answers for a link, for a socket, and for a device on a mount that has none. */
    private static final Set<Integer> NO_FILE = Set.of(Errno.ELOOP, Errno.ENXIO, Errno.EACCES);

    private static final int MAXIMUM_SIZE = 4 << 20;
    private static final JsonLimits LIMITS = new JsonLimits(8, MAXIMUM_SIZE, 200_000);

    Journal with(Phase next) {
        return new Journal(next, kept, directories);
    }

    /**
     * Makes a file whose room {@link #write} takes when there is no other: on a full file system too, the names that
     * were moved can be moved back.
     */
    static void reserve(Fd control) throws IOException {
        writeFile(control, RESERVE, new byte[RESERVE_SIZE]);
    }

    /** Replaces the journal. When this returns, the new one is on the disk. */
    void write(Fd control) throws IOException {
        byte[] content = Json.write(toJson());
        if (content.length > MAXIMUM_SIZE) {
            throw KeptPaths.conflict("so many paths are kept that the journal would be larger than " + MAXIMUM_SIZE
                    + " bytes: keep a directory above them");
        }
        try {
            writeFile(control, NEW_FILE, content);
        } catch (ErrnoException e) {
            if (!FULL.contains(e.errno()) || !removeFile(control, RESERVE)) {
                throw e;
            }
            writeFile(control, NEW_FILE, content);
        }
        Libc.renameat(control.number(), NEW_FILE.address(), control.number(), FILE.address());
        UpdateCalls.fsync(control.number());
    }

    private static void writeFile(Fd control, CString name, byte[] content) throws IOException {
        removeFile(control, name);
        Fd fd = new Fd(Libc.openat(control.number(), name.address(), Libc.NEW_FILE, 0600));
        try (FdOutputStream stream = new FdOutputStream(fd)) {
            stream.write(content);
            UpdateCalls.fsync(fd.number());
        }
    }

    /** Whether there was such a file. */
    private static boolean removeFile(Fd control, CString name) throws IOException {
        try {
            Libc.unlinkat(control.number(), name.address(), 0);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EISDIR) {
                throw damaged();
            }
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
            return false;
        }
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
            throw NO_FILE.contains(e.errno()) ? damaged() : e;
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
        return damaged(
                "the journal of an update, /" + ControlDirectory.UPDATE + "/journal, was changed by somebody else");
    }

    /** @param what does not fit what the journal says */
    static UpdateException damaged(String what) {
        return new UpdateException(
                UpdateException.Reason.UPDATE_PENDING,
                what + ": look at the folder, which may hold part of the tree; remove it if it does not, restore a"
                        + " backup if it does");
    }

    /**
     * What was mounted since the journal was written must not be moved with the directory above it: it would be hidden,
     * and later taken from its place.
     */
    void requireNoNewMountPoint(Fd root, Steps steps) throws IOException {
        Changes found = Changes.withoutKept(kept);
        TreeRecord.findMountPoints(root, found, steps);
        for (String path : found.mountPoints()) {
            if (!kept.covers(path)) {
                throw KeptPaths.conflict("'/" + KeptPaths.shown(path) + "' was mounted since the update: unmount it, or"
                        + " take it out of the container's configuration, until this is done");
            }
        }
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
                && path.indexOf('\0') < 0
                && !ControlDirectory.isOurs(path)
                && (path.isEmpty() || List.of(path.split("/", -1)).stream().noneMatch(NO_NAMES::contains));
    }

    private static Journal ofJson(Map<String, @Nullable Object> json) {
        if (!(json.get("version") instanceof Long version)
                || version != VERSION
                || !(json.get("kept") instanceof List<?> paths)
                || !(json.get("directories") instanceof List<?> list)
                || !(json.get("phase") instanceof String phase)) {
            throw new IllegalArgumentException("journal");
        }
        Map<String, Kept> directories = new LinkedHashMap<>();
        for (Object each : list) {
            if (!(each instanceof Map<?, ?> map) || !(map.get("path") instanceof String path) || !isBelowRoot(path)) {
                throw new IllegalArgumentException("directory");
            }
            if (!path.isEmpty() && !directories.containsKey(parent(path))) {
                throw new IllegalArgumentException("the directory above comes first");
            }
            directories.put(
                    path,
                    new Kept(
                            DirectoryAttributes.ofJson(map.get("before")),
                            map.get("after") == null ? null : DirectoryAttributes.ofJson(map.get("after"))));
        }
        List<String> kept = new ArrayList<>();
        for (Object each : paths) {
            if (!(each instanceof String path)
                    || path.isEmpty()
                    || !isBelowRoot(path)
                    || !directories.containsKey(parent(path))) {
                throw new IllegalArgumentException("kept");
            }
            kept.add(path);
        }
        return new Journal(Phase.valueOf(phase.toUpperCase(Locale.ROOT)), new PathSet(kept), directories);
    }

    private static String parent(String path) {
        int slash = path.lastIndexOf('/');
        return slash < 0 ? "" : path.substring(0, slash);
    }
}
