package pve.oci.rootfs;

import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;

/**
 * Tells what lower layers have from what the layer at work has made, which a whiteout leaves alone (layer.md, Whiteouts),
 * as it does what was there before the extraction.
 */
final class LayerEntries implements TreeRemoval.Survivors {
    private static final int IMPLICIT_MODE = 0755;

    private final ExistingEntries existing;
    private final ExtendedAttributes extended;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final LongSet made = new LongSet();

    /** Symbolic links that the layer's entries were reached through. */
    private final LongSet followed = new LongSet();

    private boolean isBase = true;
    private boolean comesInOrder;

    LayerEntries(ExistingEntries existing, ExtendedAttributes extended) {
        this.existing = existing;
        this.extended = extended;
    }

    /** What the layer before made is a lower layer's from now on. */
    void begin(boolean isBaseLayer, boolean entriesComeInOrder) {
        isBase = isBaseLayer;
        comesInOrder = entriesComeInOrder;
        made.clear();
        followed.clear();
    }

    /** There are none. */
    boolean isEmpty() {
        return isBase;
    }

    void markMade(Directory parent, byte[] bytes, int offset, int length) {
        if (!isBase) {
            made.add(EntryKeys.key(parent, bytes, offset, length));
        }
    }

    /** Says whether the layer at work made the link. */
    boolean markFollowed(long device, long inode, byte[] bytes) {
        long key = EntryKeys.key(device, inode, bytes, 0, bytes.length);
        followed.add(key);
        return made.contains(key);
    }

    @Override
    public boolean survives(long device, long inode, byte[] bytes) throws WhiteoutOrderException {
        long key = EntryKeys.key(device, inode, bytes, 0, bytes.length);
        boolean survives = made.contains(key) || existing.containsKey(key);
        if (!survives && comesInOrder && followed.contains(key)) {
            throw new WhiteoutOrderException();
        }
        return survives;
    }

    /** The lower layer's directory is gone, this one only holds entries of the layer, as if made for them. */
    @Override
    public void keptForChildren(int parent, byte[] bytes) throws ErrnoException {
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        try (Fd fd = new Fd(Libc.openat(parent, name.set(bytes, 0, bytes.length), flags, 0))) {
            Libc.fchown(fd.number(), 0, 0);
            Libc.fchmod(fd.number(), IMPLICIT_MODE);
            extended.clear(fd.number());
        }
    }
}
