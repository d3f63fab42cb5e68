package pve.oci.linux;

import com.sun.jna.Native;

/**
 * System calls: one method each, documented by its C prototype. Arguments of type {@code long} named path, name or
 * buffer are addresses of native memory; see {@link CString} for names. A failed call throws {@link ErrnoException};
 * EINTR is tried again. Constants are those of the x86-64 and arm64 kernel headers where the two agree, and read from
 * the architecture where they do not.
 */
public final class Libc {
    public static final int AT_FDCWD = -100;
    public static final int AT_SYMLINK_NOFOLLOW = 0x100;
    public static final int AT_REMOVEDIR = 0x200;
    public static final int AT_EMPTY_PATH = 0x1000;
    public static final int AT_RECURSIVE = 0x8000;

    private static final boolean ARM64 = System.getProperty("os.arch", "").equals("aarch64");

    public static final int O_RDONLY = 0;
    public static final int O_WRONLY = 1;
    public static final int O_ACCMODE = 3;
    public static final int O_NONBLOCK = 0x800;
    public static final int O_CLOEXEC = 0x80000;
    public static final int O_PATH = 0x200000;
    // asm/fcntl.h: arm64 kept the numbers of 32-bit Arm
    public static final int O_DIRECTORY = ARM64 ? 0x4000 : 0x10000;
    public static final int O_NOFOLLOW = ARM64 ? 0x8000 : 0x20000;
    // O_CREAT and O_EXCL: makes a file, and never opens one that is there, or to which a link leads
    public static final int NEW_FILE = 0x40 | 0x80 | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;

    /** Bits of a mode besides its type, and those that give a program another owner's rights. */
    public static final int S_PERMISSIONS = 07777;

    public static final int S_SET_ID = 06000;
    public static final int S_ISGID = 02000;

    public static final int S_IFMT = 0xf000;
    public static final int S_IFIFO = 0x1000;
    public static final int S_IFCHR = 0x2000;
    public static final int S_IFDIR = 0x4000;
    public static final int S_IFBLK = 0x6000;
    public static final int S_IFREG = 0x8000;
    public static final int S_IFLNK = 0xa000;
    public static final int S_IFSOCK = 0xc000;

    /** openat2(2): resolve */
    public static final long RESOLVE_NO_MAGICLINKS = 0x02;

    public static final long RESOLVE_NO_SYMLINKS = 0x04;
    public static final long RESOLVE_BENEATH = 0x08;
    public static final long RESOLVE_IN_ROOT = 0x10;

    /** open_tree(2), mount_setattr(2) */
    public static final int OPEN_TREE_CLONE = 1;

    public static final int OPEN_TREE_CLOEXEC = O_CLOEXEC;
    public static final long MOUNT_ATTR_RDONLY = 1;
    public static final long MOUNT_ATTR_NOSUID = 2;
    public static final long MOUNT_ATTR_NODEV = 4;
    public static final long MOUNT_ATTR_NOEXEC = 8;

    // linux/unistd.h: from 424 on every architecture has the same numbers
    private static final long SYS_OPEN_TREE = 428;
    private static final int F_GETFL = 3;
    private static final int OPENAT2_ATTEMPTS = 1000;
    private static final long SYS_OPENAT2 = 437;
    private static final long SYS_MOUNT_SETATTR = 442;

    private Libc() {}

    /** {@code int openat(int dirfd, const char *path, int flags, mode_t mode)} */
    public static int openat(int dirfd, long path, int flags, int mode) throws ErrnoException {
        int result;
        do {
            result = LibcFunctions.openat(dirfd, path, flags, mode);
        } while (isInterrupted("openat", result));
        return result;
    }

    /** {@code int fcntl(int fd, F_GETFL)}: access mode and status flags of an open file */
    public static int statusFlags(int fd) throws ErrnoException {
        int result;
        do {
            result = LibcFunctions.fcntl(fd, F_GETFL, 0);
        } while (isInterrupted("fcntl", result));
        return result;
    }

    /** {@code int mkdirat(int dirfd, const char *path, mode_t mode)} */
    public static void mkdirat(int dirfd, long path, int mode) throws ErrnoException {
        while (isInterrupted("mkdirat", LibcFunctions.mkdirat(dirfd, path, mode))) {
            // EINTR: tried again
        }
    }

    /** {@code int unlinkat(int dirfd, const char *path, int flags)} */
    public static void unlinkat(int dirfd, long path, int flags) throws ErrnoException {
        while (isInterrupted("unlinkat", LibcFunctions.unlinkat(dirfd, path, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int symlinkat(const char *target, int newdirfd, const char *linkpath)} */
    public static void symlinkat(long target, int dirfd, long path) throws ErrnoException {
        while (isInterrupted("symlinkat", LibcFunctions.symlinkat(target, dirfd, path))) {
            // EINTR: tried again
        }
    }

    /** {@code int linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)} */
    public static void linkat(int oldDirfd, long oldPath, int newDirfd, long newPath, int flags) throws ErrnoException {
        while (isInterrupted("linkat", LibcFunctions.linkat(oldDirfd, oldPath, newDirfd, newPath, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)} */
    public static void mknodat(int dirfd, long path, int mode, long device) throws ErrnoException {
        while (isInterrupted("mknodat", LibcFunctions.mknodat(dirfd, path, mode, device))) {
            // EINTR: tried again
        }
    }

    /** {@code int renameat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath)} */
    public static void renameat(int oldDirfd, long oldPath, int newDirfd, long newPath) throws ErrnoException {
        while (isInterrupted("renameat", LibcFunctions.renameat(oldDirfd, oldPath, newDirfd, newPath))) {
            // EINTR: tried again
        }
    }

    /** {@code ssize_t readlinkat(int dirfd, const char *path, char *buffer, size_t size)} */
    public static long readlinkat(int dirfd, long path, long buffer, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.readlinkat(dirfd, path, buffer, size);
        } while (isInterrupted("readlinkat", result));
        return result;
    }

    /** {@code int fchown(int fd, uid_t owner, gid_t group)} */
    public static void fchown(int fd, int uid, int gid) throws ErrnoException {
        while (isInterrupted("fchown", LibcFunctions.fchown(fd, uid, gid))) {
            // EINTR: tried again
        }
    }

    /** {@code int fchownat(int dirfd, const char *path, uid_t owner, gid_t group, int flags)} */
    public static void fchownat(int dirfd, long path, int uid, int gid, int flags) throws ErrnoException {
        while (isInterrupted("fchownat", LibcFunctions.fchownat(dirfd, path, uid, gid, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int fchmod(int fd, mode_t mode)} */
    public static void fchmod(int fd, int mode) throws ErrnoException {
        while (isInterrupted("fchmod", LibcFunctions.fchmod(fd, mode))) {
            // EINTR: tried again
        }
    }

    /** {@code int fchmodat(int dirfd, const char *path, mode_t mode, int flags)} */
    public static void fchmodat(int dirfd, long path, int mode, int flags) throws ErrnoException {
        while (isInterrupted("fchmodat", LibcFunctions.fchmodat(dirfd, path, mode, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int futimens(int fd, const struct timespec times[2])} */
    public static void futimens(int fd, long times) throws ErrnoException {
        while (isInterrupted("futimens", LibcFunctions.futimens(fd, times))) {
            // EINTR: tried again
        }
    }

    /** {@code int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)} */
    public static void utimensat(int dirfd, long path, long times, int flags) throws ErrnoException {
        while (isInterrupted("utimensat", LibcFunctions.utimensat(dirfd, path, times, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *statxbuf)} */
    public static void statx(int dirfd, long path, int flags, int mask, long buffer) throws ErrnoException {
        while (isInterrupted("statx", LibcFunctions.statx(dirfd, path, flags, mask, buffer))) {
            // EINTR: tried again
        }
    }

    /** {@code ssize_t getdents64(int fd, void *dirp, size_t count)} */
    public static long getdents64(int fd, long buffer, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.getdents64(fd, buffer, size);
        } while (isInterrupted("getdents64", result));
        return result;
    }

    /** {@code ssize_t read(int fd, void *buffer, size_t count)} */
    public static long read(int fd, long buffer, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.read(fd, buffer, size);
        } while (isInterrupted("read", result));
        return result;
    }

    /** {@code ssize_t pread(int fd, void *buffer, size_t count, off_t offset)} */
    public static long pread(int fd, long buffer, long size, long offset) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.pread(fd, buffer, size, offset);
        } while (isInterrupted("pread", result));
        return result;
    }

    /** {@code ssize_t write(int fd, const void *buffer, size_t count)} */
    public static long write(int fd, long buffer, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.write(fd, buffer, size);
        } while (isInterrupted("write", result));
        return result;
    }

    /** {@code ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset)} */
    public static long pwrite(int fd, long buffer, long size, long offset) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.pwrite(fd, buffer, size, offset);
        } while (isInterrupted("pwrite", result));
        return result;
    }

    /** {@code off_t lseek(int fd, off_t offset, int whence)} */
    public static long lseek(int fd, long offset, int whence) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.lseek(fd, offset, whence);
        } while (isInterrupted("lseek", result));
        return result;
    }

    /** {@code int ftruncate(int fd, off_t length)} */
    public static void ftruncate(int fd, long length) throws ErrnoException {
        while (isInterrupted("ftruncate", LibcFunctions.ftruncate(fd, length))) {
            // EINTR: tried again
        }
    }

    /** {@code int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)} */
    public static void fsetxattr(int fd, long name, long value, long size, int flags) throws ErrnoException {
        while (isInterrupted("fsetxattr", LibcFunctions.fsetxattr(fd, name, value, size, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)} */
    public static long fgetxattr(int fd, long name, long value, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.fgetxattr(fd, name, value, size);
        } while (isInterrupted("fgetxattr", result));
        return result;
    }

    /** {@code ssize_t flistxattr(int fd, char *list, size_t size)} */
    public static long flistxattr(int fd, long list, long size) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.flistxattr(fd, list, size);
        } while (isInterrupted("flistxattr", result));
        return result;
    }

    /** {@code int fremovexattr(int fd, const char *name)} */
    public static void fremovexattr(int fd, long name) throws ErrnoException {
        while (isInterrupted("fremovexattr", LibcFunctions.fremovexattr(fd, name))) {
            // EINTR: tried again
        }
    }

    /** {@code int memfd_create(const char *name, unsigned int flags)} */
    public static int memfdCreate(long name, int flags) throws ErrnoException {
        int result;
        do {
            result = LibcFunctions.memfd_create(name, flags);
        } while (isInterrupted("memfd_create", result));
        return result;
    }

    /** {@code ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)} */
    public static long sendmsg(int socket, long message, int flags) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.sendmsg(socket, message, flags);
        } while (isInterrupted("sendmsg", result));
        return result;
    }

    /** {@code ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)} */
    public static long recvmsg(int socket, long message, int flags) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.recvmsg(socket, message, flags);
        } while (isInterrupted("recvmsg", result));
        return result;
    }

    /** {@code int fchdir(int fd)} */
    public static void fchdir(int fd) throws ErrnoException {
        while (isInterrupted("fchdir", LibcFunctions.fchdir(fd))) {
            // EINTR: tried again
        }
    }

    /** {@code int lremovexattr(const char *path, const char *name)} */
    public static void lremovexattr(long path, long name) throws ErrnoException {
        while (isInterrupted("lremovexattr", LibcFunctions.lremovexattr(path, name))) {
            // EINTR: tried again
        }
    }

    /** {@code int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)} */
    public static void lsetxattr(long path, long name, long value, long size, int flags) throws ErrnoException {
        while (isInterrupted("lsetxattr", LibcFunctions.lsetxattr(path, name, value, size, flags))) {
            // EINTR: tried again
        }
    }

    /** {@code int close(int fd)}; its result says nothing that its callers could act on. */
    static void close(int fd) {
        LibcFunctions.close(fd);
    }

    /** {@code uid_t getuid(void)} */
    public static int getuid() {
        return LibcFunctions.getuid();
    }

    /** {@code mode_t umask(mode_t mask)} */
    public static int umask(int mask) {
        return LibcFunctions.umask(mask);
    }

    /**
     * {@code long syscall(SYS_openat2, int dirfd, const char *path, struct open_how *how, size_t size)}
     *
     * <p>EAGAIN, a rename or mount anywhere on the machine while ".." was resolved, is tried again.
     *
     * @param how address of a struct open_how: flags, mode and resolve, 64 bits each
     */
    public static int openat2(int dirfd, long path, long how) throws ErrnoException {
        for (int attempt = 0; ; attempt++) {
            try {
                return (int) syscall("openat2", SYS_OPENAT2, dirfd, path, how, 24, 0);
            } catch (ErrnoException e) {
                if (e.errno() != Errno.EAGAIN || attempt == OPENAT2_ATTEMPTS) {
                    throw e;
                }
            }
        }
    }

    /** {@code int open_tree(int dirfd, const char *path, unsigned int flags)} */
    public static int openTree(int dirfd, long path, int flags) throws ErrnoException {
        return (int) syscall("open_tree", SYS_OPEN_TREE, dirfd, path, flags, 0, 0);
    }

    /**
     * {@code int mount_setattr(int dirfd, const char *path, unsigned int flags, struct mount_attr *attr, size_t size)}
     *
     * @param attributes address of a struct mount_attr: attr_set, attr_clr, propagation and userns_fd, 64 bits each
     */
    public static void mountSetattr(int dirfd, long path, int flags, long attributes) throws ErrnoException {
        syscall("mount_setattr", SYS_MOUNT_SETATTR, dirfd, path, flags, attributes, 32);
    }

    /** {@code long syscall(long number, ...)}: the return value, or an exception that bears the given name. */
    static long syscall(String name, long number, long a, long b, long c, long d, long e) throws ErrnoException {
        long result;
        do {
            result = LibcFunctions.syscall(number, a, b, c, d, e, 0);
        } while (isInterrupted(name, result));
        return result;
    }

    /** False when the call succeeded, true when it has to be tried again: a signal came. */
    private static boolean isInterrupted(String call, long result) throws ErrnoException {
        if (result >= 0) {
            return false;
        }
        // JNA saves errno right behind the call, per thread; no later success clears it, so it is read here only
        int errno = Native.getLastError();
        if (errno != Errno.EINTR) {
            throw new ErrnoException(call, errno);
        }
        return true;
    }
}
