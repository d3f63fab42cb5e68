package pve.oci.mtree;

import java.io.IOException;
import java.util.function.Predicate;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.Steps;

/**
 * Walks a tree that a container's root may have made, in the order of {@link TreeEntry#compareTo}. Each directory is
 * opened by its whole path from the root, with links refused by the kernel (openat2, RESOLVE_NO_SYMLINKS and
 * RESOLVE_BENEATH), so no name leads out of the tree; a few descriptors are open at a time. Nothing but directories is
 * ever opened. Volumes that are mounted below are visited as entries, and not entered. Two threads share the work: the
 * other one is {@link TreeListing}.
 */
final class TreeWalk {
    /** What is done with each entry. */
    interface EntryVisitor {
        /**
         * Called once for each entry, in the order of {@link TreeEntry#compareTo}.
         *
         * @param isMountPoint another volume is mounted there; the entry says nothing of the tree itself
         */
        void visit(TreeEntry entry, boolean isMountPoint) throws IOException;
    }

    private final Fd root;
    private final Steps steps;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final NativeBuffer link = NativeBuffer.allocate(EntryPath.PATH_MAX);

    /** @param steps count one for each entry */
    TreeWalk(Fd root, Steps steps) {
        this.root = root;
        this.steps = steps;
    }

    /** @param isEntered whether to visit what is below a directory; called in another thread, and not in order */
    void run(Predicate<TreeEntry> isEntered, EntryVisitor visitor) throws IOException {
        try (AttributeDigest attributes = new AttributeDigest();
                TreeListing listing = TreeListing.start(root, isEntered)) {
            Fd entered = root;
            for (EntryBatch batch = listing.next(); batch != null; batch = listing.next()) {
                try {
                    for (EntryBatch.Item item : batch.items()) {
                        steps.take(1);
                        if (item.directory() != entered) {
                            entered = item.directory();
                            attributes.enter(entered);
                        }
                        visitor.visit(complete(item, attributes), item.isMountPoint());
                    }
                } finally {
                    batch.close();
                }
            }
        }
    }

    private TreeEntry complete(EntryBatch.Item item, AttributeDigest attributes) throws ErrnoException {
        TreeEntry entry = item.entry();
        byte[] path = entry.path();
        int parent = entry.parentLength();
        int start = parent == 0 ? 0 : parent + 1;
        long address = name.set(path, start, path.length - start);
        byte[] target = entry.type() == Libc.S_IFLNK ? target(item.directory(), address) : null;
        String digest = attributes.of(address);
        return target == null && digest == null ? entry : entry.with(target, digest);
    }

    private byte[] target(Fd directory, long address) throws ErrnoException {
        int length = (int) Libc.readlinkat(directory.number(), address, link.address(), link.size());
        byte[] target = new byte[length];
        link.buffer().get(0, target);
        return target;
    }
}
