package pve.oci.rootfs;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/** Extended attributes (xattr(7)) of open files, and of those that cannot be opened. One thread owns it. */
public final class ExtendedAttributes implements AutoCloseable {
    static final CString ACL_ACCESS = CString.of("system.posix_acl_access");
    static final CString ACL_DEFAULT = CString.of("system.posix_acl_default");

    /** XATTR_NAME_MAX of linux/limits.h */
    public static final int NAME_MAX = 255;

    /** XATTR_SIZE_MAX and XATTR_LIST_MAX of linux/limits.h */
    public static final int SIZE_MAX = 1 << 16;

    private static final byte[] SELF = {'.'};

    /** Where the process was before it entered a directory of the root file system; null while it has not. */
    private @Nullable Fd workingDirectory;

    private final CString name = new CString(NAME_MAX);
    private final CString fileName = new CString(255);
    private final NativeBuffer value = NativeBuffer.allocate(SIZE_MAX);

    /** Sets an attribute of an open file or directory; the attribute's name holds no NUL. */
    public void set(Fd fd, byte[] attribute, byte[] content) throws ErrnoException {
        value.buffer().put(0, content);
        Libc.fsetxattr(fd.number(), name.set(attribute), value.address(), content.length, 0);
    }

    /**
     * For FIFOs and device nodes, which must not be opened, and symbolic links. The calls that take a directory
     * descriptor are new in Linux 6.13, so the working directory stands in for it; only this process's one applying
     * thread uses that.
     */
    void set(Directory parent, byte[] file, byte[] attribute, byte[] content) throws ErrnoException {
        value.buffer().put(0, content);
        enter(parent);
        Libc.lsetxattr(fileName.set(file), name.set(attribute), value.address(), content.length, 0);
    }

    private void enter(Directory parent) throws ErrnoException {
        if (workingDirectory == null) {
            int flags = Libc.O_PATH | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
            workingDirectory = new Fd(Libc.openat(Libc.AT_FDCWD, name.set(SELF, 0, 1), flags, 0));
        }
        Libc.fchdir(parent.number());
    }

    /** Goes back to where the process was: its working directory would keep the file system from being unmounted. */
    @Override
    public void close() {
        Fd before = workingDirectory;
        if (before != null) {
            workingDirectory = null;
            try (before) {
                Libc.fchdir(before.number());
            } catch (ErrnoException e) {
                throw new IllegalStateException("the working directory is gone", e);
            }
        }
    }

    /** Removes the ACL that a file took over from its directory's default ACL. */
    void removeAcl(Directory parent, byte[] file) throws ErrnoException {
        enter(parent);
        try {
            Libc.lremovexattr(fileName.set(file), ACL_ACCESS.address());
        } catch (ErrnoException e) {
            ignoreAbsent(e);
        }
    }

    void remove(Fd fd, CString attribute) throws ErrnoException {
        try {
            Libc.fremovexattr(fd.number(), attribute.address());
        } catch (ErrnoException e) {
            ignoreAbsent(e);
        }
    }

    boolean has(Fd fd, CString attribute) throws ErrnoException {
        try {
            return Libc.fgetxattr(fd.number(), attribute.address(), 0, 0) > 0;
        } catch (ErrnoException e) {
            ignoreAbsent(e);
            return false;
        }
    }

    /** Removes all that can be removed: labels of security modules stay. */
    public void clear(Fd fd) throws ErrnoException {
        for (byte[] attribute : names(fd)) {
            try {
                Libc.fremovexattr(fd.number(), name.set(attribute));
            } catch (ErrnoException e) {
                // security.selinux and the like belong to the host's policy
                if (e.errno() != Errno.EPERM && e.errno() != Errno.EACCES) {
                    ignoreAbsent(e);
                }
            }
        }
    }

    /** All of a file, name and value as bytes in ISO 8859-1. */
    public Map<String, String> read(Fd fd) throws ErrnoException {
        Map<String, String> attributes = new LinkedHashMap<>();
        for (byte[] attribute : names(fd)) {
            int length = (int) Libc.fgetxattr(fd.number(), name.set(attribute), value.address(), value.size());
            byte[] content = new byte[length];
            value.buffer().get(0, content);
            attributes.put(
                    new String(attribute, StandardCharsets.ISO_8859_1),
                    new String(content, StandardCharsets.ISO_8859_1));
        }
        return attributes;
    }

    private List<byte[]> names(Fd fd) throws ErrnoException {
        List<byte[]> names = new ArrayList<>();
        int length;
        try {
            length = (int) Libc.flistxattr(fd.number(), value.address(), value.size());
        } catch (ErrnoException e) {
            ignoreAbsent(e);
            return names;
        }
        int start = 0;
        for (int i = 0; i < length; i++) {
            if (value.buffer().get(i) == 0) {
                byte[] attribute = new byte[i - start];
                value.buffer().get(start, attribute);
                names.add(attribute);
                start = i + 1;
            }
        }
        return names;
    }

    /** ENODATA: there is none. EOPNOTSUPP: the file system knows no such attribute, so there is none either. */
    private static void ignoreAbsent(ErrnoException e) throws ErrnoException {
        if (e.errno() != Errno.ENODATA && e.errno() != Errno.EOPNOTSUPP) {
            throw e;
        }
    }
}
