package pve.oci.update;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.UpdateCalls;
import pve.oci.mtree.Changes;
import pve.oci.mtree.PathSet;
import pve.oci.mtree.TreeRecord;
import pve.oci.rootfs.ExtendedAttributes;
import pve.oci.rootfs.PathOpener;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TreeRemoval;

/**
 * Updates one root file system in three steps: {@link #stage}, {@link #commit}, {@link #finish}. As long as the trees
 * have not been exchanged, {@link #abandon} takes everything back. After the last step there is {@link #rollBack} or
 * {@link #forget}, or {@link #reopen}, after which it is as before {@link #finish}. A step that was interrupted can be
 * called again.
 */
public final class InPlaceUpdate {
    private final Fd root;
    private final Steps steps;
    private final Runnable beforeStep;
    private final PathOpener opener = new PathOpener();

    /**
     * @param root the root directory, open for reading; the caller closes it
     * @param steps count what is done
     */
    public InPlaceUpdate(Fd root, Steps steps) {
        this(root, steps, () -> {});
    }

    /** @param beforeStep is called before everything that changes a tree; a test breaks off here */
    InPlaceUpdate(Fd root, Steps steps, Runnable beforeStep) {
        this.root = root;
        this.steps = steps.withoutLimit();
        this.beforeStep = beforeStep;
    }

    /** Extracts an image into an empty directory. */
    public interface Extractor {
        void extract(Fd directory) throws IOException;
    }

    /** The phase of an update that was not finished; null if there is none. */
    public @Nullable Phase phase() throws IOException {
        try (Fd control = ControlDirectory.find(root, ControlDirectory.UPDATE)) {
            if (control == null) {
                return null;
            }
            Journal journal = Journal.read(control);
            return journal == null ? Phase.STAGED : journal.phase();
        }
    }

    /** Whether there is an earlier tree to go back to. */
    public boolean hasPrevious() throws IOException {
        try (Fd control = ControlDirectory.find(root, ControlDirectory.PREVIOUS)) {
            return control != null;
        }
    }

    /** Whether there is something that could not be removed. */
    public boolean hasRemains() throws IOException {
        return ControlRemoval.hasRemains(root);
    }

    /** Requires that an update can be brought to its end. */
    public void requireUsable() throws IOException {
        ControlDirectory.requireUsable(root);
    }

    /** Bytes that are free in the file system (statfs(2), f_bavail). */
    public long availableSize() throws IOException {
        return FreeSpace.of(root).size();
    }

    /**
     * Requires room for a new tree.
     *
     * @param size in bytes
     * @param inodes about how many it needs
     * @throws UpdateException there is less
     */
    public void requireSpace(long size, long inodes) throws IOException {
        FreeSpace.of(root).require(size, inodes);
    }

    /** Resolves links in these paths, and returns those that exist. */
    public PathSet resolve(List<String> asked) throws IOException {
        return new KeptPaths().resolve(root, asked);
    }

    /**
     * Puts the new tree beside the old one. After a failure everything is as it was.
     *
     * @param asked paths to be kept, as they were given
     * @param others further paths to be kept, without links: mount points, files of the host
     */
    public void stage(List<String> asked, List<String> others, Extractor extractor) throws IOException {
        DirectoryAttributes before = rootAttributes();
        try (Fd control = ControlDirectory.create(root, ControlDirectory.UPDATE);
                Fd fresh = ControlDirectory.createDirectory(control, ControlDirectory.NEW_TREE, 0755)) {
            extractor.extract(opener.directory(fresh, new byte[0]));
            try (Fd self = opener.directory(fresh, new byte[0])) {
                TreeRecord.write(self, steps);
            }
            PathSet kept = keptPaths(asked, others);
            new KeptPaths().check(root, fresh, asked);
            new Journal(Phase.STAGED, kept, directories(kept, fresh, before)).write(control);
        } catch (IOException | RuntimeException | Error e) {
            removeAfter(e, before);
            throw e;
        }
    }

    /** Compares the tree with what an image makes, contents too. Afterwards everything is as it was. */
    public void compareWithImage(Extractor extractor, Changes changes) throws IOException {
        DirectoryAttributes before = rootAttributes();
        try (Fd control = ControlDirectory.create(root, ControlDirectory.UPDATE);
                Fd fresh = ControlDirectory.createDirectory(control, ControlDirectory.NEW_TREE, 0755)) {
            extractor.extract(opener.directory(fresh, new byte[0]));
            TreeRecord.compareWithImage(root, fresh, changes, steps);
        } catch (IOException | RuntimeException | Error e) {
            removeAfter(e, before);
            throw e;
        }
        removeControl(ControlDirectory.UPDATE, before);
    }

    private DirectoryAttributes rootAttributes() throws IOException {
        try (ExtendedAttributes extended = new ExtendedAttributes();
                Fd self = opener.directory(root, new byte[0])) {
            return DirectoryAttributes.read(self, extended);
        }
    }

    /**
     * Writes the record anew, for the tree as it is now. While an update is staged this is the new tree, because the
     * caller has put more files into it.
     */
    public void record() throws IOException {
        if (phase() != Phase.STAGED) {
            TreeRecord.write(root, steps);
            return;
        }
        try (Fd control = requireUpdate();
                Fd fresh = opener.directory(control, bytes(ControlDirectory.NEW_TREE))) {
            TreeRecord.write(fresh, steps);
        }
    }

    private void removeAfter(Throwable failure, DirectoryAttributes before) {
        try {
            removeControl(ControlDirectory.UPDATE, before);
        } catch (IOException | RuntimeException e) {
            failure.addSuppressed(e);
        }
    }

    private PathSet keptPaths(List<String> asked, List<String> others) throws IOException {
        List<String> paths = new ArrayList<>(others);
        new KeptPaths().resolve(root, asked).paths().forEach(paths::add);
        return new PathSet(paths);
    }

    private Map<String, Journal.Kept> directories(PathSet kept, Fd fresh, DirectoryAttributes ofRoot)
            throws IOException {
        TreeSet<String> paths = new TreeSet<>();
        paths.add("");
        for (String path : kept.paths()) {
            for (int slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
                paths.add(path.substring(0, slash));
            }
        }
        Map<String, Journal.Kept> directories = new LinkedHashMap<>();
        long device = new FileStatus().read(root.number()).device();
        try (ExtendedAttributes extended = new ExtendedAttributes()) {
            for (String path : paths) {
                DirectoryAttributes before = ofRoot;
                if (!path.isEmpty()) {
                    try (Fd fd = opener.directory(root, PathSet.bytes(path))) {
                        KeptPaths.requireDevice(device, fd, path);
                        before = DirectoryAttributes.read(fd, extended);
                    }
                }
                directories.put(path, new Journal.Kept(before, attributesInNewTree(fresh, path, extended)));
            }
        }
        return directories;
    }

    /**
     * Null if the new image has no such directory. If it has a link or a file in its place, nothing can be kept below:
     * that is an error.
     */
    private @Nullable DirectoryAttributes attributesInNewTree(Fd fresh, String path, ExtendedAttributes extended)
            throws IOException {
        try (Fd fd = opener.directory(fresh, PathSet.bytes(path))) {
            return DirectoryAttributes.read(fd, extended);
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return null;
            }
            if (e.errno() == Errno.ENOTDIR || e.errno() == Errno.ELOOP) {
                throw KeptPaths.conflict("'/" + KeptPaths.shown(path)
                        + "' is a directory above something that is kept, and a file or a link in the new image: move"
                        + " what is kept elsewhere, or do not keep it");
            }
            throw e;
        }
    }

    /** Exchanges the trees. Continues where an earlier call was interrupted. */
    public void commit() throws IOException {
        try (Fd control = requireUpdate()) {
            Journal journal = Journal.read(control);
            if (journal == null || journal.phase().isBack()) {
                throw new UpdateException(
                        UpdateException.Reason.UPDATE_PENDING, "no new tree is staged: stage the update first");
            }
            if (journal.phase().isBroken()) {
                journal.requireNoNewMountPoint(root, steps);
            }
            new Switch(root, control, journal, beforeStep).forward();
        }
    }

    private Fd requireUpdate() throws IOException {
        Fd control = ControlDirectory.find(root, ControlDirectory.UPDATE);
        if (control == null) {
            throw new UpdateException(
                    UpdateException.Reason.UPDATE_PENDING, "no new tree is staged: stage the update first");
        }
        return control;
    }

    /**
     * Ends an update whose trees have been exchanged: removes what was not used of the new image, and keeps the old
     * tree for {@link #rollBack}.
     */
    public void finish() throws IOException {
        Journal journal;
        try (Fd control = requireUpdate()) {
            journal = Journal.read(control);
            if (journal == null || journal.phase() != Phase.SWITCHED) {
                throw new UpdateException(
                        UpdateException.Reason.UPDATE_PENDING, "the update has not been switched: switch it first");
            }
            TreeRemoval.ofMount(root, steps).removeIfThere(control, bytes(ControlDirectory.NEW_TREE));
        }
        removeControl(ControlDirectory.PREVIOUS, null);
        rename(ControlDirectory.UPDATE, ControlDirectory.PREVIOUS);
        Journal.Kept ofRoot = journal.directories().get("");
        restoreRootTime(ofRoot == null || ofRoot.after() == null ? null : ofRoot.after());
    }

    /**
     * Takes an update back, unless the trees have been exchanged completely.
     *
     * @return null when no update is left; {@link Phase#SWITCHED} when the trees have been exchanged, and so stay
     */
    public @Nullable Phase abandon() throws IOException {
        try (Fd control = ControlDirectory.find(root, ControlDirectory.UPDATE)) {
            Journal journal = control == null ? null : Journal.read(control);
            if (journal != null && journal.phase().isBroken()) {
                journal.requireNoNewMountPoint(root, steps);
            }
        }
        return takeBackOrUndo();
    }

    private @Nullable Phase takeBackOrUndo() throws IOException {
        try {
            return takeBack();
        } catch (UpdateException e) {
            if (e.reason() == UpdateException.Reason.UPDATE_CONFLICT) {
                undoTakingBack(e);
            }
            throw e;
        }
    }

    private @Nullable Phase takeBack() throws IOException {
        DirectoryAttributes before = null;
        try (Fd control = ControlDirectory.find(root, ControlDirectory.UPDATE)) {
            if (control == null) {
                return null;
            }
            Journal journal = Journal.read(control);
            if (journal != null) {
                if (journal.phase() == Phase.SWITCHED) {
                    return Phase.SWITCHED;
                }
                new Switch(root, control, journal, beforeStep).backward();
                Journal.Kept ofRoot = journal.directories().get("");
                before = ofRoot == null ? null : ofRoot.before();
            }
        }
        removeControl(ControlDirectory.UPDATE, before);
        return null;
    }

    /**
     * Turns the last update into one that is not finished: its phase is {@link Phase#SWITCHED} again. {@link #rollBack}
     * or {@link #finish} has to follow. A caller that does more than move names does it in between.
     */
    public void reopen() throws IOException {
        if (phase() != null) {
            return;
        }
        ControlDirectory.requireUsable(root);
        try (Fd control = ControlDirectory.find(root, ControlDirectory.PREVIOUS)) {
            Journal journal = control == null ? null : Journal.read(control);
            if (control == null || journal == null) {
                throw new UpdateException(
                        UpdateException.Reason.NOTHING_TO_ROLL_BACK,
                        "there is no earlier tree: nothing was updated, or it was rolled back or removed since");
            }
            journal.requireNoNewMountPoint(root, steps);
            new Switch(root, control, journal, beforeStep).requireDirectories();
            journal.with(Phase.SWITCHED).write(control);
        }
        rename(ControlDirectory.PREVIOUS, ControlDirectory.UPDATE);
    }

    /** Brings back the tree before the last update. What is kept stays as it is now. */
    public void rollBack() throws IOException {
        reopen();
        try (Fd control = requireUpdate()) {
            Journal journal = Journal.read(control);
            if (journal != null && journal.phase() == Phase.SWITCHED) {
                journal.requireNoNewMountPoint(root, steps);
                new Switch(root, control, journal, beforeStep).prepareWayBack();
                journal.with(Phase.BACK_OUT).write(control);
            }
        }
        takeBackOrUndo();
    }

    /** A name cannot be moved: those that were are moved the other way, so that one whole tree is there. */
    private void undoTakingBack(UpdateException failure) {
        try (Fd control = requireUpdate()) {
            Journal journal = Journal.read(control);
            if (journal != null && (journal.phase() == Phase.BACK_OUT || journal.phase() == Phase.BACK_IN)) {
                // in BACK_IN no name of the new tree is in place, as in OUT
                Phase phase = journal.phase() == Phase.BACK_OUT ? Phase.IN : Phase.OUT;
                new Switch(root, control, journal.with(phase), beforeStep).forward();
            }
        } catch (IOException | RuntimeException e) {
            failure.addSuppressed(e);
        }
    }

    /** Removes the earlier tree: there is no way back after this. */
    public void forget() throws IOException {
        try (Fd control = ControlDirectory.find(root, ControlDirectory.PREVIOUS)) {
            if (control == null) {
                throw new UpdateException(UpdateException.Reason.NOTHING_TO_ROLL_BACK, "there is no earlier tree");
            }
        }
        removeControl(ControlDirectory.PREVIOUS, rootAttributes());
    }

    private static byte[] bytes(String name) {
        return PathSet.bytes(name);
    }

    private void removeControl(String name, @Nullable DirectoryAttributes ofRoot) throws IOException {
        ControlRemoval.remove(root, name, steps);
        restoreRootTime(ofRoot);
    }

    /** Gives the root directory its time back, which removing and renaming in it have changed. */
    private void restoreRootTime(@Nullable DirectoryAttributes attributes) throws IOException {
        if (attributes != null) {
            try (Fd self = opener.directory(root, new byte[0])) {
                attributes.applyTime(self);
            }
        }
    }

    private void rename(String from, String to) throws IOException {
        beforeStep.run();
        ControlDirectory.rename(root, from, root, to);
        // not syncfs(2): others may have written gigabytes to this file system
        UpdateCalls.fsync(root.number());
    }
}
