package pve.oci.update;

import java.io.IOException;
import pve.oci.linux.Fd;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.UpdateCalls;

/**
 * How much room a file system has, as statfs(2) tells.
 *
 * @param size free bytes
 * @param inodes free inodes; Long.MAX_VALUE if the file system makes them as they are needed
 */
record FreeSpace(long size, long inodes) {
    static FreeSpace of(Fd directory) throws IOException {
        // struct statfs: f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree
        NativeBuffer buffer = NativeBuffer.allocate(256);
        UpdateCalls.fstatfs(directory.number(), buffer.address());
        long size = buffer.buffer().getLong(8);
        long free = buffer.buffer().getLong(32);
        long all = buffer.buffer().getLong(40);
        return new FreeSpace(
                free > Long.MAX_VALUE / Math.max(size, 1) ? Long.MAX_VALUE : size * free,
                inodes(all, buffer.buffer().getLong(48)));
    }

    /** Some file systems count none (btrfs), others say -1 (CephFS). */
    private static long inodes(long all, long free) {
        return all == 0 || free < 0 ? Long.MAX_VALUE : free;
    }

    void require(long wantedSize, long wantedInodes) throws UpdateException {
        require(wantedSize, size, "space", "bytes");
        require(wantedInodes, inodes, "inodes", "inodes");
    }

    private static void require(long wanted, long available, String what, String unit) throws UpdateException {
        if (available < wanted) {
            throw new UpdateException(
                    UpdateException.Reason.NOT_ENOUGH_SPACE,
                    "not enough " + what + ": the new image takes about " + wanted + " " + unit
                            + " beside the old one, and " + available + " are free");
        }
    }
}
