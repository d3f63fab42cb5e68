package pve.oci.rootfs;

import java.io.IOException;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Libc;

/**
 * Applies the whiteouts of a layer, one at a time where they stand among its entries, or all of them before its
 * entries. A whiteout's directory is looked up in the tree of the lower layers. Where the layer has an entry of its own
 * in the place of a symbolic link on the way there, the whiteout removes nothing.
 */
public final class Whiteouts {
    private final DirectoryResolver resolver;
    private final LayerEntries layerEntries;
    private final Removal removal;
    private final PathList collected = new PathList();

    /** Which entries of lower layers a whiteout removes. */
    public enum Kind {
        /** The one that the path leads to. */
        ENTRY,
        /** All in the directory of the entry that the path leads to. */
        SIBLINGS
    }

    Whiteouts(DirectoryResolver resolver, LayerEntries layerEntries, Removal removal) {
        this.resolver = resolver;
        this.layerEntries = layerEntries;
        this.removal = removal;
    }

    /**
     * Applies a whiteout that comes between the layer's entries.
     *
     * @throws WhiteoutOrderException when {@link #applyCollected} would give another result
     */
    public void apply(EntryPath path, Kind kind) throws IOException {
        if (layerEntries.isBaseLayer()) {
            return;
        }
        layerEntries.order().beginWhiteout();
        Directory parent = resolver.find(path, path.parentLength());
        checkWay(parent, path);
        if (parent != null && !layerEntries.isViaOwnLink(parent)) {
            layerEntries.whiteoutUsed(parent);
            remove(parent, path, kind);
        }
    }

    /** Checks that the path to the directory does not lead through the place of a link that was removed. */
    private void checkWay(@Nullable Directory parent, EntryPath path) throws IOException {
        if (!layerEntries.order().hasLostLinks()) {
            return;
        }
        if (parent == null || parent.isViaLink()) {
            throw new WhiteoutOrderException();
        }
        Directory above = resolver.root();
        int start = 0;
        while (start < path.parentLength()) {
            int end = path.componentEnd(start);
            layerEntries.order().checkWay(above, path.copy(start, end));
            Directory next = resolver.find(path, end);
            if (next == null) {
                throw new WhiteoutOrderException();
            }
            above = next;
            start = end + 1;
        }
    }

    private void remove(Directory parent, EntryPath path, Kind kind) throws IOException {
        if (kind == Kind.ENTRY) {
            removal.removeLowerEntry(parent, path.name());
        } else {
            removal.removeLowerChildren(parent);
        }
    }

    /** Keeps a whiteout for {@link #applyCollected}. */
    public void collect(EntryPath path, Kind kind) {
        if (!layerEntries.isBaseLayer()) {
            collected.add(path.bytes(), path.length(), kind == Kind.ENTRY ? 1 : 0);
        }
    }

    /** The layer has this entry, which is made after its whiteouts were applied. */
    public void collectEntry(EntryPath path) throws IOException {
        if (layerEntries.isBaseLayer()) {
            return;
        }
        try {
            Directory parent = resolver.find(path, path.parentLength());
            if (parent != null && removal.typeOf(parent, path.name()) == Libc.S_IFLNK) {
                layerEntries.markToBeReplaced(EntryKeys.key(parent, path));
            }
        } catch (ErrnoException e) {
            // making the entry will report the error
        }
    }

    /** Applies all whiteouts that were collected: first finds the directories of all of them, then removes entries. */
    public void applyCollected() throws IOException {
        PathList found = new PathList();
        collected.takeAll((path, numbers) -> {
            Directory parent = resolver.find(path, path.parentLength());
            if (parent != null && !layerEntries.isViaOwnLink(parent)) {
                byte[] linkFree = parent.pathOf(path.name());
                found.add(linkFree, linkFree.length, numbers[0]);
            }
        });
        found.takeAll((path, numbers) -> {
            Directory parent = resolver.find(path, path.parentLength());
            if (parent != null && !parent.isViaLink()) {
                remove(parent, path, numbers[0] == 1 ? Kind.ENTRY : Kind.SIBLINGS);
            }
        });
    }
}
