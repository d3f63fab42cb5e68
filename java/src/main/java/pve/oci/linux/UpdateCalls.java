package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;

/**
 * System calls that only records and updates need. They are not in {@link Libc}, because binding a function takes time
 * when its class is loaded, and most workers never load this class.
 */
public final class UpdateCalls {
    private UpdateCalls() {}

    /** {@code ssize_t llistxattr(const char *path, char *list, size_t size)} */
    public static long llistxattr(long path, long list, long size) throws ErrnoException {
        return check("llistxattr", UpdateFunctions.llistxattr(path, list, size));
    }

    /** {@code ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)} */
    public static long lgetxattr(long path, long name, long value, long size) throws ErrnoException {
        return check("lgetxattr", UpdateFunctions.lgetxattr(path, name, value, size));
    }

    /** {@code int fsync(int fd)} */
    public static void fsync(int fd) throws ErrnoException {
        check("fsync", UpdateFunctions.fsync(fd));
    }

    /** {@code int syncfs(int fd)} */
    public static void syncfs(int fd) throws ErrnoException {
        check("syncfs", UpdateFunctions.syncfs(fd));
    }

    /** {@code int fstatfs(int fd, struct statfs *buf)} */
    public static void fstatfs(int fd, long buffer) throws ErrnoException {
        check("fstatfs", UpdateFunctions.fstatfs(fd, buffer));
    }

    /** {@code int flock(int fd, int operation)} */
    public static void flock(int fd, int operation) throws ErrnoException {
        check("flock", UpdateFunctions.flock(fd, operation));
    }

    /** None of these is interrupted by a signal. */
    private static long check(String call, long result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, Native.getLastError());
        }
        return result;
    }

    private static final class UpdateFunctions {
        static {
            // glibc is part of the process already: in the worker's tree there is no file to load it from
            Native.register(UpdateFunctions.class, NativeLibrary.getProcess());
        }

        private UpdateFunctions() {}

        static native long llistxattr(long path, long list, long size);

        static native long lgetxattr(long path, long name, long value, long size);

        static native int fsync(int fd);

        static native int syncfs(int fd);

        static native int fstatfs(int fd, long buffer);

        static native int flock(int fd, int operation);
    }
}
