package pve.oci.rootfs;

import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;

/** An open directory below the root, in which entries are made. */
public final class Directory implements AutoCloseable {
    private final Fd fd;
    private final long device;
    private final long inode;
    private final byte[] path;
    private final LinkUse linkUse;
    private final boolean inheritsGroup;
    private final boolean inheritsAcl;

    /**
     * @param fd open for reading
     * @param status the directory's, which may change afterwards
     * @param path the path below the root that leads to it without symbolic links; empty for the root
     * @param linkUse the symbolic links on the path that led to it
     * @param inheritsGroup new entries take over its group
     * @param inheritsAcl new entries take over its default ACL
     */
    Directory(Fd fd, FileStatus status, byte[] path, LinkUse linkUse, boolean inheritsGroup, boolean inheritsAcl) {
        this.fd = fd;
        this.device = status.device();
        this.inode = status.inode();
        this.path = path;
        this.linkUse = linkUse;
        this.inheritsGroup = inheritsGroup;
        this.inheritsAcl = inheritsAcl;
    }

    /** The open directory. It may be closed when the cache forgets it, or when another entry is looked up. */
    public Fd fd() {
        return fd;
    }

    /** With {@link #inode}: the directory's identity, whatever path led to it. */
    public long device() {
        return device;
    }

    public long inode() {
        return inode;
    }

    /** The path below the root that leads to it without symbolic links; empty for the root. Must not be changed. */
    public byte[] path() {
        return path;
    }

    LinkUse linkUse() {
        return linkUse;
    }

    /**
     * Whether new entries take over its group: it has the set-group-ID bit, or its own group on a file system that may
     * be mounted with "grpid". Then the owner of every new entry has to be set.
     */
    public boolean inheritsGroup() {
        return inheritsGroup;
    }

    /** Whether new entries take over its default ACL. Then mode and ACL of every new entry have to be set. */
    public boolean inheritsAcl() {
        return inheritsAcl;
    }

    public int number() {
        return fd.number();
    }

    /** Whether anything of a new entry comes from this directory. */
    public boolean inherits() {
        return inheritsGroup || inheritsAcl;
    }

    boolean isViaLink() {
        return !linkUse.isEmpty();
    }

    boolean isSame(Directory other) {
        return device == other.device && inode == other.inode;
    }

    /** The link-free path of an entry of this directory. */
    byte[] pathOf(byte[] name) {
        if (path.length == 0) {
            return name;
        }
        byte[] joined = new byte[path.length + 1 + name.length];
        System.arraycopy(path, 0, joined, 0, path.length);
        joined[path.length] = '/';
        System.arraycopy(name, 0, joined, path.length + 1, name.length);
        return joined;
    }

    @Override
    public void close() {
        fd.close();
    }
}
