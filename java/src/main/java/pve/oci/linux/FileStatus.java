package pve.oci.linux;

/** What statx(2) tells of a file: a view on memory that the next call overwrites. One thread owns it. */
public final class FileStatus {
    private static final int STATX_BASIC_STATS = 0x7ff;
    private static final int STATX_MNT_ID = 0x1000;
    private static final long STATX_ATTR_IMMUTABLE = 0x10;
    private static final long STATX_ATTR_APPEND = 0x20;
    private static final long STATX_ATTR_MOUNT_ROOT = 0x2000;
    private static final int SIZE = 256;

    private final NativeBuffer memory = NativeBuffer.allocate(SIZE);

    /** Reads the status of an open file; works for O_PATH descriptors too. */
    public FileStatus read(int fd) throws ErrnoException {
        Libc.statx(fd, CString.EMPTY, Libc.AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, memory.address());
        return this;
    }

    /** Reads the status of a name in a directory; a symbolic link is not followed. */
    public FileStatus read(int dirfd, long name) throws ErrnoException {
        Libc.statx(dirfd, name, Libc.AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID, memory.address());
        return this;
    }

    /** Whether another file system, or part of one, is mounted here. */
    public boolean isMountRoot() {
        return (attributes() & STATX_ATTR_MOUNT_ROOT) != 0;
    }

    /** Whether nobody may remove names of a directory, or change it: chattr(1), i and a. */
    public boolean isImmutableOrAppendOnly() {
        return (attributes() & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
    }

    private long attributes() {
        return memory.buffer().getLong(8);
    }

    public int mode() {
        return memory.buffer().getShort(28) & 0xffff;
    }

    /** One of the S_IF constants of {@link Libc}. */
    public int type() {
        return mode() & Libc.S_IFMT;
    }

    public boolean isDirectory() {
        return type() == Libc.S_IFDIR;
    }

    public int uid() {
        return memory.buffer().getInt(20);
    }

    public int gid() {
        return memory.buffer().getInt(24);
    }

    public long inode() {
        return memory.buffer().getLong(32);
    }

    public long size() {
        return memory.buffer().getLong(40);
    }

    public long links() {
        return memory.buffer().getInt(16) & 0xffffffffL;
    }

    public long modifiedSeconds() {
        return memory.buffer().getLong(112);
    }

    public int modifiedNanos() {
        return memory.buffer().getInt(120);
    }

    /** The mount that the file was reached through; two mounts of one file system have two numbers. */
    public long mountId() {
        return memory.buffer().getLong(144);
    }

    /** Of a device node, the device that it stands for. */
    public long deviceOfNode() {
        return ((long) memory.buffer().getInt(128) << 32) | (memory.buffer().getInt(132) & 0xffffffffL);
    }

    /** The file system's device number, major and minor in one. */
    public long device() {
        return ((long) memory.buffer().getInt(136) << 32) | (memory.buffer().getInt(140) & 0xffffffffL);
    }
}
