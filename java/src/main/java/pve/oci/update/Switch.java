package pve.oci.update;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.UpdateCalls;
import pve.oci.mtree.PathSet;
import pve.oci.rootfs.DirectoryReader;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.ExtendedAttributes;
import pve.oci.rootfs.PathOpener;
import pve.oci.text.Text;

/**
 * Exchanges the old tree for the new one and back, by rename(2) within one mount. Only the names in directories that
 * stay (the root and those above kept paths) are moved, each with all that is below it. Every phase can be interrupted
 * at any rename and repeated: which of the three trees have a name says what its next step is.
 */
final class Switch {
    private static final int SEEK_SET = 0;

    /** What the kernel answers to attributes that it will never take there. */
    private static final Set<Integer> REFUSED = Set.of(Errno.EINVAL, Errno.EPERM, Errno.EOPNOTSUPP);

    private static final String FOREIGN = ": its owner is not one of the container's, or it is immutable; keep it,"
            + " remove it, or give it to the container's root";

    /** What rename(2) answers for names that it cannot move: why, and what to do. */
    private static final Map<Integer, String> IMMOVABLE = Map.of(
            Errno.EACCES,
            FOREIGN,
            Errno.EPERM,
            FOREIGN,
            Errno.EROFS,
            ": it is a read-only subvolume, or the file system has become read-only: make it writable, or keep it",
            Errno.ENOTEMPTY,
            ": it stands for a subvolume that a snapshot has left out: remove it or keep it",
            Errno.EXDEV,
            ": it is in another subvolume than the root directory: move it out of the way or keep it");

    /** How many bytes of names are held in memory at once: a directory may have millions of names. */
    private static final int MOST_NAME_BYTES = 1 << 20;

    private final Fd root;
    private final Fd control;
    private Journal journal;
    private final Runnable beforeStep;
    private final PathOpener opener = new PathOpener();
    private final DirectoryReader reader = new DirectoryReader();
    private final FileStatus status = new FileStatus();
    private final CString from = new CString(EntryPath.PATH_MAX);
    private final CString to = new CString(EntryPath.PATH_MAX);

    Switch(Fd root, Fd control, Journal journal, Runnable beforeStep) {
        this.root = root;
        this.control = control;
        this.journal = journal;
        this.beforeStep = beforeStep;
    }

    /** Exchanges the trees, from the beginning or from where an earlier run was interrupted. */
    void forward() throws IOException {
        if (journal.phase() == Phase.STAGED) {
            requireDirectories();
            Journal.reserve(control);
            // what was extracted has to be on the disk before the first name is moved; one call for each of
            // its files would take longer than waiting for what others have written
            UpdateCalls.syncfs(root.number());
            enter(Phase.OUT);
        }
        if (journal.phase() == Phase.OUT) {
            eachDirectory(this::moveOldOnly);
            enter(Phase.IN);
        }
        if (journal.phase() == Phase.IN) {
            eachDirectory(this::moveNew);
            enter(Phase.ATTRIBUTES);
        }
        if (journal.phase() == Phase.ATTRIBUTES) {
            applyAttributes(false);
            syncDirectories();
            enter(Phase.SWITCHED);
        }
    }

    /** Goes back to the old tree, from any phase. */
    void backward() throws IOException {
        switch (journal.phase()) {
            case STAGED -> {
                return;
            }
            case OUT -> enter(Phase.BACK_IN);
            case IN, ATTRIBUTES, SWITCHED -> enter(Phase.BACK_OUT);
            default -> {
                // an earlier run has begun to go back
            }
        }
        if (journal.phase() == Phase.BACK_OUT) {
            eachDirectory(this::moveNewBack);
            enter(Phase.BACK_IN);
        }
        if (journal.phase() == Phase.BACK_IN) {
            eachDirectory(this::moveOldBack);
            enter(Phase.BACK_ATTRIBUTES);
        }
        if (journal.phase() == Phase.BACK_ATTRIBUTES) {
            applyAttributes(true);
            syncDirectories();
        }
    }

    /**
     * Waits until the names that were moved are on the disk. Names are only in these directories, so what others have
     * written to the file system is not waited for.
     */
    private void syncDirectories() throws IOException {
        eachDirectory(place -> {
            UpdateCalls.fsync(place.present().number());
            UpdateCalls.fsync(place.old().number());
            if (place.fresh() != null) {
                UpdateCalls.fsync(place.fresh().number());
            }
        });
    }

    /**
     * Checks that all directories can be used. Called before the first name is moved, so that an error leaves the tree
     * whole.
     */
    void requireDirectories() throws IOException {
        eachDirectory(place -> ControlDirectory.requireChangeable(place.present(), place.path()));
    }

    /** The same, and makes the directories that the new tree's names are moved back to. */
    void prepareWayBack() throws IOException {
        requireDirectories();
        for (String path : journal.directories().keySet()) {
            make(ControlDirectory.NEW_TREE, path).close();
        }
        Journal.reserve(control);
    }

    private void enter(Phase phase) throws IOException {
        beforeStep.run();
        journal = journal.with(phase);
        journal.write(control);
    }

    /** One directory that stays, and the directories that correspond to it in the other two trees. */
    private record Place(String path, Fd present, @Nullable Fd fresh, Fd old) {}

    private interface Step {
        void run(Place place) throws IOException;
    }

    private void eachDirectory(Step step) throws IOException {
        for (String path : journal.directories().keySet()) {
            try (Fd present = present(path);
                    Fd fresh = find(ControlDirectory.NEW_TREE, path);
                    Fd old = make(ControlDirectory.OLD_TREE, path)) {
                step.run(new Place(path, present, fresh, old));
            }
        }
    }

    /**
     * Opens a directory that stays. If somebody has removed it since, it is made again, because names come back into
     * it.
     */
    private Fd present(String path) throws IOException {
        try {
            return opener.directory(root, PathSet.bytes(path));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                throw KeptPaths.conflict("'/" + KeptPaths.shown(path) + "' was replaced by a file or a link since the"
                        + " update began: make it a directory again");
            }
            if (e.errno() != Errno.ENOENT || path.isEmpty()) {
                throw e;
            }
        }
        int slash = path.lastIndexOf('/');
        try (Fd parent = present(slash < 0 ? "" : path.substring(0, slash))) {
            ControlDirectory.makeDirectory(parent, PathSet.bytes(path.substring(slash + 1)), 0700);
        }
        return opener.directory(root, PathSet.bytes(path));
    }

    private @Nullable Fd find(String tree, String path) throws IOException {
        String name = path.isEmpty() ? tree : tree + "/" + path;
        try {
            return opener.directory(control, PathSet.bytes(name));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            if (e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                throw Journal.damaged(
                        "'/" + ControlDirectory.UPDATE + "/" + KeptPaths.shown(name) + "' is no directory");
            }
            throw e;
        }
    }

    /**
     * Makes and opens the directory of a tree that takes names out of this one. The journal lists parents first, so
     * the directory above is there.
     */
    private Fd make(String tree, String path) throws IOException {
        Fd found = find(tree, path);
        if (found != null) {
            return found;
        }
        int slash = path.lastIndexOf('/');
        if (path.isEmpty()) {
            return ControlDirectory.createDirectory(control, tree, 0700);
        }
        try (Fd parent = make(tree, slash < 0 ? "" : path.substring(0, slash))) {
            Libc.mkdirat(parent.number(), set(from, PathSet.bytes(path.substring(slash + 1))), 0700);
        }
        Fd made = find(tree, path);
        if (made == null) {
            throw new IllegalStateException("a directory that was just made");
        }
        return made;
    }

    private interface NameTest {
        boolean test(byte[] name) throws IOException;
    }

    private interface NameStep {
        void run(byte[] name) throws IOException;
    }

    /**
     * Moves names out of a directory, in portions: it changes while they are moved, so each portion is listed from the
     * start.
     *
     * @param step moves a name out of the directory
     */
    private void moveNames(Fd directory, String path, NameTest isMoved, NameStep step) throws IOException {
        boolean isListed;
        do {
            List<byte[]> names = new ArrayList<>();
            int[] length = {0};
            Libc.lseek(directory.number(), 0, SEEK_SET);
            isListed = reader.list(directory, (bytes, type) -> {
                if (isExchanged(path, bytes) && isMoved.test(bytes)) {
                    names.add(bytes);
                    length[0] += bytes.length;
                }
                return length[0] < MOST_NAME_BYTES;
            });
            for (byte[] name : names) {
                step.run(name);
            }
        } while (!isListed);
    }

    private boolean isExchanged(String path, byte[] bytes) {
        String full = path.isEmpty() ? PathSet.text(bytes) : path + "/" + PathSet.text(bytes);
        boolean isControl = path.isEmpty() && ControlDirectory.isReserved(bytes);
        return !isControl
                && !journal.kept().contains(full)
                && !journal.directories().containsKey(full);
    }

    private void moveOldOnly(Place place) throws IOException {
        Fd fresh = place.fresh();
        moveNames(
                place.present(),
                place.path(),
                name -> fresh == null || !has(fresh, name),
                name -> move(place, place.present(), place.old(), name));
    }

    private void moveNew(Place place) throws IOException {
        Fd fresh = place.fresh();
        if (fresh == null) {
            return;
        }
        moveNames(fresh, place.path(), name -> true, name -> {
            if (has(place.present(), name) && !has(place.old(), name)) {
                move(place, place.present(), place.old(), name);
            }
            move(place, fresh, place.present(), name);
        });
    }

    /** Moves back into the staged tree what was moved in from there: the names that the staged tree no longer has. */
    private void moveNewBack(Place place) throws IOException {
        Fd fresh = place.fresh();
        if (fresh == null) {
            return;
        }
        moveNames(
                place.present(),
                place.path(),
                name -> !has(fresh, name),
                name -> move(place, place.present(), fresh, name));
    }

    private void moveOldBack(Place place) throws IOException {
        moveNames(place.old(), place.path(), name -> true, name -> move(place, place.old(), place.present(), name));
    }

    private boolean has(Fd directory, byte[] name) throws IOException {
        try {
            status.read(directory.number(), set(from, name));
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return false;
            }
            throw e;
        }
    }

    private void move(Place place, Fd source, Fd target, byte[] name) throws IOException {
        String shown = "'/" + KeptPaths.shown(place.path().isEmpty() ? "" : place.path() + "/") + Text.name(name) + "'";
        if (has(target, name)) {
            throw new UpdateException(
                    UpdateException.Reason.UPDATE_PENDING,
                    shown + " is in two places: somebody changed the tree during an update");
        }
        beforeStep.run();
        try {
            Libc.renameat(source.number(), set(from, name), target.number(), set(to, name));
        } catch (ErrnoException e) {
            String reason = IMMOVABLE.get(e.errno());
            if (reason == null) {
                throw e;
            }
            throw KeptPaths.conflict(
                    shown + (source == place.old() ? " in the earlier tree" : "") + " cannot be moved" + reason);
        }
    }

    private static UpdateException unusable(String path, ErrnoException e) {
        return new UpdateException(
                UpdateException.Reason.UPDATE_PENDING,
                "the journal of an update, /" + ControlDirectory.UPDATE + "/journal, has attributes for '/"
                        + KeptPaths.shown(path) + "' that cannot be set: " + e.getMessage() + ": correct them there."
                        + " Do not remove the folder, it holds the other tree");
    }

    private static long set(CString string, byte[] bytes) {
        return string.set(bytes, 0, bytes.length);
    }

    /**
     * Sets the attributes of the innermost directories first: a directory's time is set when nothing in it changes any
     * more.
     */
    private void applyAttributes(boolean isBack) throws IOException {
        List<String> paths = new ArrayList<>(journal.directories().keySet());
        java.util.Collections.reverse(paths);
        try (ExtendedAttributes extended = new ExtendedAttributes()) {
            for (String path : paths) {
                Journal.Kept each = Objects.requireNonNull(journal.directories().get(path));
                DirectoryAttributes attributes = isBack ? each.before() : each.after();
                if (attributes != null) {
                    try (Fd fd = opener.directory(root, PathSet.bytes(path))) {
                        beforeStep.run();
                        attributes.apply(fd, extended);
                    } catch (ErrnoException e) {
                        throw REFUSED.contains(e.errno()) ? unusable(path, e) : e;
                    }
                }
            }
        }
    }
}
