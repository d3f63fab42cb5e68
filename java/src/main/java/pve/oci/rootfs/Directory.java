package pve.oci.rootfs;

import pve.oci.linux.Fd;

/**
 * An open directory below the root, that entries are made in.
 *
 * @param fd open for reading; owned by the cache
 * @param device with inode: the directory's identity, whatever path led to it
 * @param existed it was there before the extraction
 * @param isViaLink the path that led to it went through a symbolic link
 * @param isViaMadeLink one of those links was made by the layer at work when the path was walked
 * @param inherits new entries take over its group (set-group-ID bit) or its default ACL, so that owner, mode and ACL of
 *     a new entry have to be set whatever they are
 */
public record Directory(
        Fd fd, long device, long inode, boolean existed, boolean isViaLink, boolean isViaMadeLink, boolean inherits)
        implements AutoCloseable {
    public int number() {
        return fd.number();
    }

    boolean isSame(Directory other) {
        return device == other.device && inode == other.inode;
    }

    @Override
    public void close() {
        fd.close();
    }
}
