package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

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
    public static final int O_RDWR = 2;
    public static final int O_CREAT = 0x40;
    public static final int O_EXCL = 0x80;
    public static final int O_ACCMODE = 3;
    public static final int O_NONBLOCK = 0x800;
    public static final int O_CLOEXEC = 0x80000;
    public static final int O_PATH = 0x200000;
    // asm/fcntl.h: arm64 kept the numbers of 32-bit Arm
    public static final int O_DIRECTORY = ARM64 ? 0x4000 : 0x10000;
    public static final int O_NOFOLLOW = ARM64 ? 0x8000 : 0x20000;

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
        while (true) {
            int result = C.openat(dirfd, path, flags, mode);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("openat");
        }
    }

    /** {@code int fcntl(int fd, F_GETFL)}: access mode and status flags of an open file */
    public static int statusFlags(int fd) throws ErrnoException {
        while (true) {
            int result = C.fcntl(fd, F_GETFL, 0);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("fcntl");
        }
    }

    /** {@code int mkdirat(int dirfd, const char *path, mode_t mode)} */
    public static void mkdirat(int dirfd, long path, int mode) throws ErrnoException {
        while (true) {
            int result = C.mkdirat(dirfd, path, mode);
            if (result >= 0) {
                return;
            }
            retryOrThrow("mkdirat");
        }
    }

    /** {@code int unlinkat(int dirfd, const char *path, int flags)} */
    public static void unlinkat(int dirfd, long path, int flags) throws ErrnoException {
        while (true) {
            int result = C.unlinkat(dirfd, path, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("unlinkat");
        }
    }

    /** {@code int symlinkat(const char *target, int newdirfd, const char *linkpath)} */
    public static void symlinkat(long target, int dirfd, long path) throws ErrnoException {
        while (true) {
            int result = C.symlinkat(target, dirfd, path);
            if (result >= 0) {
                return;
            }
            retryOrThrow("symlinkat");
        }
    }

    /** {@code int linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags)} */
    public static void linkat(int oldDirfd, long oldPath, int newDirfd, long newPath, int flags) throws ErrnoException {
        while (true) {
            int result = C.linkat(oldDirfd, oldPath, newDirfd, newPath, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("linkat");
        }
    }

    /** {@code int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)} */
    public static void mknodat(int dirfd, long path, int mode, long device) throws ErrnoException {
        while (true) {
            int result = C.mknodat(dirfd, path, mode, device);
            if (result >= 0) {
                return;
            }
            retryOrThrow("mknodat");
        }
    }

    /** {@code int renameat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath)} */
    public static void renameat(int oldDirfd, long oldPath, int newDirfd, long newPath) throws ErrnoException {
        while (true) {
            int result = C.renameat(oldDirfd, oldPath, newDirfd, newPath);
            if (result >= 0) {
                return;
            }
            retryOrThrow("renameat");
        }
    }

    /** {@code ssize_t readlinkat(int dirfd, const char *path, char *buffer, size_t size)} */
    public static long readlinkat(int dirfd, long path, long buffer, long size) throws ErrnoException {
        while (true) {
            long result = C.readlinkat(dirfd, path, buffer, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("readlinkat");
        }
    }

    /** {@code int fchown(int fd, uid_t owner, gid_t group)} */
    public static void fchown(int fd, int uid, int gid) throws ErrnoException {
        while (true) {
            int result = C.fchown(fd, uid, gid);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fchown");
        }
    }

    /** {@code int fchownat(int dirfd, const char *path, uid_t owner, gid_t group, int flags)} */
    public static void fchownat(int dirfd, long path, int uid, int gid, int flags) throws ErrnoException {
        while (true) {
            int result = C.fchownat(dirfd, path, uid, gid, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fchownat");
        }
    }

    /** {@code int fchmod(int fd, mode_t mode)} */
    public static void fchmod(int fd, int mode) throws ErrnoException {
        while (true) {
            int result = C.fchmod(fd, mode);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fchmod");
        }
    }

    /** {@code int fchmodat(int dirfd, const char *path, mode_t mode, int flags)} */
    public static void fchmodat(int dirfd, long path, int mode, int flags) throws ErrnoException {
        while (true) {
            int result = C.fchmodat(dirfd, path, mode, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fchmodat");
        }
    }

    /** {@code int futimens(int fd, const struct timespec times[2])} */
    public static void futimens(int fd, long times) throws ErrnoException {
        while (true) {
            int result = C.futimens(fd, times);
            if (result >= 0) {
                return;
            }
            retryOrThrow("futimens");
        }
    }

    /** {@code int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)} */
    public static void utimensat(int dirfd, long path, long times, int flags) throws ErrnoException {
        while (true) {
            int result = C.utimensat(dirfd, path, times, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("utimensat");
        }
    }

    /** {@code int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *statxbuf)} */
    public static void statx(int dirfd, long path, int flags, int mask, long buffer) throws ErrnoException {
        while (true) {
            int result = C.statx(dirfd, path, flags, mask, buffer);
            if (result >= 0) {
                return;
            }
            retryOrThrow("statx");
        }
    }

    /** {@code ssize_t getdents64(int fd, void *dirp, size_t count)} */
    public static long getdents64(int fd, long buffer, long size) throws ErrnoException {
        while (true) {
            long result = C.getdents64(fd, buffer, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("getdents64");
        }
    }

    /** {@code ssize_t read(int fd, void *buffer, size_t count)} */
    public static long read(int fd, long buffer, long size) throws ErrnoException {
        while (true) {
            long result = C.read(fd, buffer, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("read");
        }
    }

    /** {@code ssize_t pread(int fd, void *buffer, size_t count, off_t offset)} */
    public static long pread(int fd, long buffer, long size, long offset) throws ErrnoException {
        while (true) {
            long result = C.pread(fd, buffer, size, offset);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("pread");
        }
    }

    /** {@code ssize_t write(int fd, const void *buffer, size_t count)} */
    public static long write(int fd, long buffer, long size) throws ErrnoException {
        while (true) {
            long result = C.write(fd, buffer, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("write");
        }
    }

    /** {@code ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset)} */
    public static long pwrite(int fd, long buffer, long size, long offset) throws ErrnoException {
        while (true) {
            long result = C.pwrite(fd, buffer, size, offset);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("pwrite");
        }
    }

    /** {@code off_t lseek(int fd, off_t offset, int whence)} */
    public static long lseek(int fd, long offset, int whence) throws ErrnoException {
        while (true) {
            long result = C.lseek(fd, offset, whence);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("lseek");
        }
    }

    /** {@code int ftruncate(int fd, off_t length)} */
    public static void ftruncate(int fd, long length) throws ErrnoException {
        while (true) {
            int result = C.ftruncate(fd, length);
            if (result >= 0) {
                return;
            }
            retryOrThrow("ftruncate");
        }
    }

    /** {@code int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)} */
    public static void fsetxattr(int fd, long name, long value, long size, int flags) throws ErrnoException {
        while (true) {
            int result = C.fsetxattr(fd, name, value, size, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fsetxattr");
        }
    }

    /** {@code ssize_t fgetxattr(int fd, const char *name, void *value, size_t size)} */
    public static long fgetxattr(int fd, long name, long value, long size) throws ErrnoException {
        while (true) {
            long result = C.fgetxattr(fd, name, value, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("fgetxattr");
        }
    }

    /** {@code ssize_t flistxattr(int fd, char *list, size_t size)} */
    public static long flistxattr(int fd, long list, long size) throws ErrnoException {
        while (true) {
            long result = C.flistxattr(fd, list, size);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("flistxattr");
        }
    }

    /** {@code int fremovexattr(int fd, const char *name)} */
    public static void fremovexattr(int fd, long name) throws ErrnoException {
        while (true) {
            int result = C.fremovexattr(fd, name);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fremovexattr");
        }
    }

    /** {@code int memfd_create(const char *name, unsigned int flags)} */
    public static int memfdCreate(long name, int flags) throws ErrnoException {
        while (true) {
            int result = C.memfd_create(name, flags);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("memfd_create");
        }
    }

    /** {@code ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)} */
    public static long sendmsg(int socket, long message, int flags) throws ErrnoException {
        while (true) {
            long result = C.sendmsg(socket, message, flags);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("sendmsg");
        }
    }

    /** {@code ssize_t recvmsg(int sockfd, struct msghdr *msg, int flags)} */
    public static long recvmsg(int socket, long message, int flags) throws ErrnoException {
        while (true) {
            long result = C.recvmsg(socket, message, flags);
            if (result >= 0) {
                return result;
            }
            retryOrThrow("recvmsg");
        }
    }

    /** {@code int fchdir(int fd)} */
    public static void fchdir(int fd) throws ErrnoException {
        while (true) {
            int result = C.fchdir(fd);
            if (result >= 0) {
                return;
            }
            retryOrThrow("fchdir");
        }
    }

    /** {@code int lremovexattr(const char *path, const char *name)} */
    public static void lremovexattr(long path, long name) throws ErrnoException {
        while (true) {
            int result = C.lremovexattr(path, name);
            if (result >= 0) {
                return;
            }
            retryOrThrow("lremovexattr");
        }
    }

    /** {@code int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)} */
    public static void lsetxattr(long path, long name, long value, long size, int flags) throws ErrnoException {
        while (true) {
            int result = C.lsetxattr(path, name, value, size, flags);
            if (result >= 0) {
                return;
            }
            retryOrThrow("lsetxattr");
        }
    }

    /** {@code int close(int fd)}; its result says nothing that its callers could act on. */
    static void close(int fd) {
        C.close(fd);
    }

    /** {@code uid_t getuid(void)} */
    public static int getuid() {
        return C.getuid();
    }

    /** {@code mode_t umask(mode_t mask)} */
    public static int umask(int mask) {
        return C.umask(mask);
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

    /** {@code int sched_getcpu(void)} */
    static int schedGetcpu() {
        return C.sched_getcpu();
    }

    /** {@code int sched_getaffinity(0, size_t size, cpu_set_t *mask)}: of the calling thread. */
    static void schedGetaffinity(long size, long mask) throws ErrnoException {
        check("sched_getaffinity", C.sched_getaffinity(0, size, mask));
    }

    /** {@code int sched_setaffinity(0, size_t size, const cpu_set_t *mask)}: of the calling thread. */
    static void schedSetaffinity(long size, long mask) throws ErrnoException {
        check("sched_setaffinity", C.sched_setaffinity(0, size, mask));
    }

    /** {@code long syscall(long number, ...)}: the return value, or an exception that bears the given name. */
    static long syscall(String name, long number, long a, long b, long c, long d, long e) throws ErrnoException {
        while (true) {
            long result = C.syscall(number, a, b, c, d, e, 0);
            if (result >= 0) {
                return result;
            }
            retryOrThrow(name);
        }
    }

    private static void check(String call, int result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, Native.getLastError());
        }
    }

    private static void retryOrThrow(String call) throws ErrnoException {
        // JNA saves errno right behind the call, per thread; no later success clears it, so it is read here only
        int errno = Native.getLastError();
        if (errno != Errno.EINTR) {
            throw new ErrnoException(call, errno);
        }
    }

    /** The C functions themselves, bound by name. */
    private static final class C {
        static {
            // glibc is part of the process already: in the worker's tree there is no file to load it from
            Native.register(C.class, NativeLibrary.getProcess());
        }

        private C() {}

        static native int openat(int dirfd, long path, int flags, int mode);

        static native int mkdirat(int dirfd, long path, int mode);

        static native int unlinkat(int dirfd, long path, int flags);

        static native int symlinkat(long target, int dirfd, long path);

        static native int linkat(int oldDirfd, long oldPath, int newDirfd, long newPath, int flags);

        static native int mknodat(int dirfd, long path, int mode, long device);

        static native int renameat(int oldDirfd, long oldPath, int newDirfd, long newPath);

        static native long readlinkat(int dirfd, long path, long buffer, long size);

        static native int fchown(int fd, int uid, int gid);

        static native int fchownat(int dirfd, long path, int uid, int gid, int flags);

        static native int fchmod(int fd, int mode);

        static native int fchmodat(int dirfd, long path, int mode, int flags);

        static native int futimens(int fd, long times);

        static native int utimensat(int dirfd, long path, long times, int flags);

        static native int statx(int dirfd, long path, int flags, int mask, long buffer);

        static native long getdents64(int fd, long buffer, long size);

        static native long read(int fd, long buffer, long size);

        static native long pread(int fd, long buffer, long size, long offset);

        static native long write(int fd, long buffer, long size);

        static native long pwrite(int fd, long buffer, long size, long offset);

        static native long lseek(int fd, long offset, int whence);

        static native int ftruncate(int fd, long length);

        static native int fsetxattr(int fd, long name, long value, long size, int flags);

        static native long fgetxattr(int fd, long name, long value, long size);

        static native long flistxattr(int fd, long list, long size);

        static native int fremovexattr(int fd, long name);

        static native int fcntl(int fd, int operation, int argument);

        static native int memfd_create(long name, int flags);

        static native long sendmsg(int socket, long message, int flags);

        static native long recvmsg(int socket, long message, int flags);

        static native int fchdir(int fd);

        static native int lremovexattr(long path, long name);

        static native int lsetxattr(long path, long name, long value, long size, int flags);

        static native int close(int fd);

        static native int getuid();

        static native int umask(int mask);

        static native int sched_getcpu();

        static native int sched_getaffinity(int pid, long size, long mask);

        static native int sched_setaffinity(int pid, long size, long mask);

        static native long syscall(long number, long a, long b, long c, long d, long e, long f);
    }
}
