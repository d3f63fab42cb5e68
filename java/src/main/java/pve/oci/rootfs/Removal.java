package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;

/**
 * Removes entries: those in the way of an entry of the layer, and those that whiteouts are for. What was there before
 * the extraction is never removed. Every removal is reported to the cache of open directories.
 */
final class Removal {
    private final ExistingEntries existing;
    private final LayerEntries layerEntries;
    private final DirectoryCache cache;
    private final Steps steps;
    private final TreeRemoval wholeRemoval;
    private final TreeRemoval lowerRemoval;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();

    Removal(ExistingEntries existing, LayerEntries layerEntries, DirectoryCache cache, Steps steps) {
        this.existing = existing;
        this.layerEntries = layerEntries;
        this.cache = cache;
        this.steps = steps;
        wholeRemoval = new TreeRemoval(new Replaced(), steps);
        lowerRemoval = new TreeRemoval(layerEntries, steps);
    }

    /** For a tree that an entry of the layer replaces: all of it is removed. */
    private final class Replaced implements TreeRemoval.Survivors {
        @Override
        public boolean survives(long device, long inode, byte[] bytes) throws IOException {
            long key = EntryKeys.key(device, inode, bytes);
            layerEntries.order().replaced(key);
            return existing.containsKey(key);
        }

        @Override
        public boolean isClosed(long mountId) {
            return existing.isClosed(mountId);
        }

        @Override
        public void emptied(long device, long inode) {
            layerEntries.omitted().removeDirectory(device, inode);
        }
    }

    /** Type of an entry, one of the S_IF constants; 0 when there is none. */
    int typeOf(Directory parent, byte[] entry) throws ErrnoException {
        try {
            return status.read(parent.number(), name.set(entry)).type();
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOENT) {
                return 0;
            }
            throw e;
        }
    }

    /** Removes what has the name of an entry that the layer makes; {@code failure} says whether there is anything. */
    void clearWay(Directory parent, EntryPath path, ErrnoException failure) throws IOException {
        if (failure.errno() != Errno.EEXIST) {
            throw failure;
        }
        clearWay(parent, path.name());
    }

    /** Removes what has the name of an entry that the layer makes. */
    void clearWay(Directory parent, byte[] entry) throws IOException {
        long key = EntryKeys.key(parent, entry);
        if (existing.containsKey(key)) {
            // rmdir(2) of a mount point succeeds from another mount namespace and takes the mount away
            throw existing.refusal(parent.pathOf(entry));
        }
        layerEntries.order().replaced(key);
        remove(parent, entry, typeOf(parent, entry), wholeRemoval);
    }

    /**
     * A whiteout of this entry: what lower layers have of it goes, what this layer made stays (layer.md, Whiteouts).
     */
    void removeLowerEntry(Directory parent, byte[] entry) throws IOException {
        int type = typeOf(parent, entry);
        boolean survives = layerEntries.survives(parent.device(), parent.inode(), entry);
        layerEntries.omitted().whiteOut(parent, entry);
        if (type == Libc.S_IFDIR && survives) {
            removeChildrenOfSurvivor(parent, entry);
        } else if (type != 0 && !survives) {
            remove(parent, entry, type, lowerRemoval);
        }
    }

    private void remove(Directory parent, byte[] entry, int type, TreeRemoval removal) throws IOException {
        if (type == Libc.S_IFDIR) {
            cache.forgetTree(parent.pathOf(entry));
            long linksBefore = removal.linksRemoved();
            removal.remove(parent.fd(), entry);
            noteLostLinks(removal.linksRemoved() > linksBefore, EntryKeys.key(parent, entry));
        } else {
            if (type == Libc.S_IFLNK) {
                cache.forgetLinks();
                layerEntries.order().linkRemoved();
                if (removal == lowerRemoval) {
                    layerEntries.order().lostLinks(EntryKeys.key(parent, entry));
                }
            }
            Libc.unlinkat(parent.number(), name.set(entry), 0);
        }
    }

    private void noteLostLinks(boolean hasLost, long key) throws WhiteoutOrderException {
        if (hasLost) {
            layerEntries.order().linkRemoved();
            layerEntries.order().lostLinks(key);
        }
    }

    private void removeChildrenOfSurvivor(Directory parent, byte[] entry) throws IOException {
        try (Fd fd = Fd.openDirectory(parent.fd(), name.set(entry))) {
            status.read(fd.number());
            removeLowerChildren(fd, parent.pathOf(entry), EntryKeys.key(status.device(), status.inode()));
        } catch (ErrnoException e) {
            // lost+found of a file system that root of the map does not own: no layer has written in it
            if (e.errno() != Errno.EACCES || !existing.containsKey(EntryKeys.key(parent, entry))) {
                throw e;
            }
        }
    }

    /** An opaque whiteout in this directory: lower layers' entries go, the directory itself stays. */
    void removeLowerChildren(Directory directory) throws IOException {
        removeLowerChildren(directory.fd(), directory.path(), EntryKeys.key(directory.device(), directory.inode()));
    }

    private void removeLowerChildren(Fd directory, byte[] path, long key) throws IOException {
        cache.forgetTree(path);
        long linksBefore = lowerRemoval.linksRemoved();
        lowerRemoval.removeChildren(directory);
        noteLostLinks(lowerRemoval.linksRemoved() > linksBefore, key);
    }

    /** Removes all below the root that was not there before. */
    void removeAllBut(ExistingEntries kept, Fd root) throws IOException {
        TreeRemoval.Survivors survivors = new TreeRemoval.Survivors() {
            @Override
            public boolean survives(long device, long inode, byte[] bytes) {
                return kept.containsKey(EntryKeys.key(device, inode, bytes));
            }

            @Override
            public boolean isClosed(long mountId) {
                return kept.isClosed(mountId);
            }
        };
        new TreeRemoval(survivors, steps.withoutLimit()).removeChildren(root);
    }
}
