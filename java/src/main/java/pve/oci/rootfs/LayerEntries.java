package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;

/**
 * Knows which entries the current layer has made; all others are of lower layers. A whiteout removes neither the
 * layer's own entries (layer.md, Whiteouts) nor what was there before the extraction.
 */
final class LayerEntries implements TreeRemoval.Survivors {
    private static final int IMPLIED_MODE = 0755;

    private final ExistingEntries existing;
    private final ExtendedAttributes extended;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final LongSet made = new LongSet();
    private final WhiteoutOrder order = new WhiteoutOrder();
    private final OmittedEntries omitted = new OmittedEntries();

    /** Symbolic links of lower layers that an entry of this layer will replace. */
    private final LongSet toBeReplaced = new LongSet();

    private boolean isBase = true;

    LayerEntries(ExistingEntries existing, ExtendedAttributes extended) {
        this.existing = existing;
        this.extended = extended;
    }

    /** Begins a layer. What was made so far belongs to lower layers from now on. */
    void begin(boolean isBaseLayer, boolean mixesWhiteouts) {
        isBase = isBaseLayer;
        made.clear();
        toBeReplaced.clear();
        omitted.beginLayer();
        order.begin(mixesWhiteouts && !isBaseLayer);
    }

    /** True while the first layer is applied: nothing lies below it. */
    boolean isBaseLayer() {
        return isBase;
    }

    WhiteoutOrder order() {
        return order;
    }

    OmittedEntries omitted() {
        return omitted;
    }

    void markMade(Directory parent, EntryPath path) {
        omitted.replace(parent, path);
        if (!isBase) {
            made.add(EntryKeys.key(parent, path));
        }
    }

    void markMade(Directory parent, byte[] entry) {
        omitted.replace(parent, entry);
        if (!isBase) {
            made.add(EntryKeys.key(parent, entry));
        }
    }

    /** Notes that this entry was removed for a device that is left out, so nothing takes its place. */
    void removedForDevice(Directory parent, EntryPath path) {
        if (made.contains(EntryKeys.key(parent, path))) {
            order.removedOwnEntry();
        }
    }

    /** The layer is going to replace this symbolic link of a lower layer. */
    void markToBeReplaced(long link) {
        toBeReplaced.add(link);
    }

    /** An entry of the layer is made in this directory, or is a further name of one in it. */
    void entryUsed(Directory directory) {
        order.entryUsed(directory.linkUse(), made);
    }

    void hardLinkUsed(Directory targetParent, EntryPath target) {
        long key = EntryKeys.key(targetParent, target);
        if (!made.contains(key)) {
            order.entryUsed(key);
        }
    }

    void whiteoutUsed(Directory directory) throws WhiteoutOrderException {
        order.whiteoutUsed(directory.linkUse(), made);
    }

    /**
     * Whether one of the links that led to the directory is the layer's own, or will be replaced by an entry of the
     * layer.
     */
    boolean isViaOwnLink(Directory directory) {
        LinkUse use = directory.linkUse();
        return use.hasLinkOf(made) || use.hasLinkOf(toBeReplaced);
    }

    /** See {@link ExistingEntries#isClosed}. */
    @Override
    public boolean isClosed(long mountId) {
        return existing.isClosed(mountId);
    }

    @Override
    public boolean survives(long device, long inode, byte[] bytes) throws IOException {
        long key = EntryKeys.key(device, inode, bytes);
        order.whitedOut(key);
        return made.contains(key) || existing.containsKey(key);
    }

    @Override
    public void emptied(long device, long inode) throws WhiteoutOrderException {
        omitted.whiteOutAll(device, inode, order);
    }

    /**
     * A whiteout removes a directory of a lower layer that holds entries of this layer. It stays, with the attributes
     * of a directory that is made for its entries.
     */
    @Override
    public void keptForChildren(Fd parent, byte[] bytes) throws ErrnoException {
        try (Fd fd = Fd.openDirectory(parent, name.set(bytes))) {
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), IMPLIED_MODE);
            extended.clear(fd);
        }
    }
}
