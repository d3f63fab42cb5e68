package pve.oci.linux;

import com.sun.jna.FieldOrders;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

/** The C functions themselves, bound by name. */
final class LibcFunctions {
    static {
        FieldOrders.set();
        // glibc is part of the process already: in the worker's tree there is no file to load it from
        Native.register(LibcFunctions.class, NativeLibrary.getProcess());
    }

    private LibcFunctions() {}

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

    static native int poll(long descriptors, long count, int timeout);

    static native int madvise(long address, long length, int advice);

    static native int malloc_trim(long pad);

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
