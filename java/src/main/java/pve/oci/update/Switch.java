package pve.oci.update;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
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
 * stay (the root and those above kept paths) are moved, each with all that is below it. Every phase can be broken off
 * at any rename and gone through again: what a name's next step is follows from which of the three trees have it.
 */
final class Switch {
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

    /** From the staged tree, or from wherever an earlier run was broken off, to the switched one. */
    void forward() throws IOException {
        if (journal.phase() == Phase.STAGED) {
            // what was extracted has to be on the disk before the first name is moved
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
            UpdateCalls.syncfs(root.number());
            enter(Phase.SWITCHED);
        }
    }

    /** From wherever it stands back to the old tree. */
    void backward() throws IOException {
        switch (journal.phase()) {
            case STAGED -> {
                return;
            }
            case OUT -> enter(Phase.BACK_IN);
            case IN, ATTRIBUTES, SWITCHED -> enter(Phase.BACK_OUT);
            default -> {
                // it is on its way back already
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
            UpdateCalls.syncfs(root.number());
        }
    }

    private void enter(Phase phase) throws IOException {
        beforeStep.run();
        journal = journal.with(phase);
        journal.write(control);
    }

    /** One directory that stays, and what corresponds to it in the other two trees. */
    private record Place(String path, Fd present, @Nullable Fd fresh, Fd old) {}

    private interface Step {
        void run(Place place) throws IOException;
    }

    private void eachDirectory(Step step) throws IOException {
        for (String path : journal.directories().keySet()) {
            try (Fd present = opener.directory(root, PathSet.bytes(path));
                    Fd fresh = find(ControlDirectory.NEW_TREE, path);
                    Fd old = make(path)) {
                step.run(new Place(path, present, fresh, old));
            }
        }
    }

    private @Nullable Fd find(String tree, String path) throws IOException {
        try {
            return opener.directory(control, PathSet.bytes(path.isEmpty() ? tree : tree + "/" + path));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            throw e;
        }
    }

    /** The place for what is taken out of a directory; those above it come first in the journal. */
    private Fd make(String path) throws IOException {
        Fd found = find(ControlDirectory.OLD_TREE, path);
        if (found != null) {
            return found;
        }
        int slash = path.lastIndexOf('/');
        if (path.isEmpty()) {
            return ControlDirectory.createDirectory(control, ControlDirectory.OLD_TREE, 0700);
        }
        try (Fd parent = make(slash < 0 ? "" : path.substring(0, slash))) {
            Libc.mkdirat(parent.number(), set(from, PathSet.bytes(path.substring(slash + 1))), 0700);
        }
        Fd made = find(ControlDirectory.OLD_TREE, path);
        if (made == null) {
            throw new IllegalStateException("a directory that was just made");
        }
        return made;
    }

    /** The names of a directory that are moved. A list, because the directory changes while they are. */
    private List<byte[]> names(Fd directory, String path) throws IOException {
        List<byte[]> names = new ArrayList<>();
        reader.list(directory, (bytes, type) -> {
            String full = path.isEmpty() ? PathSet.text(bytes) : path + "/" + PathSet.text(bytes);
            boolean isControl = path.isEmpty() && ControlDirectory.isReserved(bytes);
            if (!isControl
                    && !journal.kept().contains(full)
                    && !journal.directories().containsKey(full)) {
                names.add(bytes);
            }
            return true;
        });
        return names;
    }

    private void moveOldOnly(Place place) throws IOException {
        for (byte[] name : names(place.present(), place.path())) {
            if (place.fresh() == null || !has(place.fresh(), name)) {
                move(place, place.present(), place.old(), name);
            }
        }
    }

    private void moveNew(Place place) throws IOException {
        Fd fresh = place.fresh();
        if (fresh == null) {
            return;
        }
        for (byte[] name : names(fresh, place.path())) {
            if (has(place.present(), name) && !has(place.old(), name)) {
                move(place, place.present(), place.old(), name);
            }
            move(place, fresh, place.present(), name);
        }
    }

    /**
     * A name that the staged tree does not have was moved in, or was there before: then nothing was moved in its place.
     */
    private void moveNewBack(Place place) throws IOException {
        Fd fresh = place.fresh();
        if (fresh == null) {
            return;
        }
        for (byte[] name : names(place.present(), place.path())) {
            if (!has(fresh, name)) {
                move(place, place.present(), fresh, name);
            }
        }
    }

    private void moveOldBack(Place place) throws IOException {
        for (byte[] name : names(place.old(), place.path())) {
            move(place, place.old(), place.present(), name);
        }
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
            if (e.errno() != Errno.EACCES && e.errno() != Errno.EPERM) {
                throw e;
            }
            throw KeptPaths.conflict(shown + " cannot be moved: its owner is not one of the container's, or it is"
                    + " immutable; keep it, remove it, or give it to the container's root");
        }
    }

    private static long set(CString string, byte[] bytes) {
        return string.set(bytes, 0, bytes.length);
    }

    /** Innermost first: a directory's time is set when nothing in it changes any more. */
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
                    }
                }
            }
        }
    }
}
