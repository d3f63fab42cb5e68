package pve.oci.mtree;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.UpdateCalls;

/**
 * Digest of those extended attributes that an image can have (layer.XattrPolicy): labels of the host's security modules
 * are not the image's. The calls that read them relative to a directory are new in Linux 6.13, so the process enters
 * each directory; {@link #close} goes back.
 */
final class AttributeDigest implements AutoCloseable {
    /** XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h */
    private static final int SIZE_MAX = 1 << 16;

    /** Enough for most. The kernel allocates as much as it is offered; for SIZE_MAX this takes longer than the rest. */
    private static final int USUAL_SIZE = 512;

    private final CString attribute = new CString(255);
    private final NativeBuffer list = NativeBuffer.allocate(SIZE_MAX);
    private final NativeBuffer value = NativeBuffer.allocate(SIZE_MAX);
    private final Fd workingDirectory;

    AttributeDigest() throws ErrnoException {
        int flags = Libc.O_PATH | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
        workingDirectory = new Fd(CString.lend(".", address -> Libc.openat(Libc.AT_FDCWD, address, flags, 0)));
    }

    void enter(Fd directory) throws ErrnoException {
        Libc.fchdir(directory.number());
    }

    /**
     * The digest for a name in the directory that was entered; null when it has no such attributes.
     *
     * @param address of the name
     */
    @Nullable
    String of(long address) throws ErrnoException {
        int length = read(size -> UpdateCalls.llistxattr(address, list.address(), size));
        if (length <= 0) {
            return null;
        }
        Map<String, byte[]> attributes = new TreeMap<>();
        int start = 0;
        for (int i = 0; i < length; i++) {
            if (list.buffer().get(i) == 0) {
                byte[] bytes = new byte[i - start];
                list.buffer().get(start, bytes);
                start = i + 1;
                String text = new String(bytes, StandardCharsets.ISO_8859_1);
                if (isOfImage(text)) {
                    attributes.put(text, value(address, bytes));
                }
            }
        }
        return attributes.isEmpty() ? null : digest(attributes);
    }

    private static boolean isOfImage(String text) {
        return text.startsWith("user.")
                || text.equals("security.capability")
                || text.equals("system.posix_acl_access")
                || text.equals("system.posix_acl_default");
    }

    private byte[] value(long file, byte[] bytes) throws ErrnoException {
        long key = attribute.set(bytes, 0, bytes.length);
        int length = read(size -> UpdateCalls.lgetxattr(file, key, value.address(), size));
        byte[] content = new byte[Math.max(length, 0)];
        value.buffer().get(0, content);
        return content;
    }

    private interface AttributeCall {
        long run(int size) throws ErrnoException;
    }

    /**
     * Calls the function. If the file system has no attributes, or somebody has removed this one meanwhile, there is
     * none.
     */
    private static int read(AttributeCall call) throws ErrnoException {
        int size = USUAL_SIZE;
        while (true) {
            try {
                return (int) call.run(size);
            } catch (ErrnoException e) {
                if (e.errno() == Errno.EOPNOTSUPP || e.errno() == Errno.ENODATA || e.errno() == Errno.EACCES) {
                    return -1;
                }
                if (e.errno() != Errno.ERANGE || size == SIZE_MAX) {
                    throw e;
                }
                size = SIZE_MAX;
            }
        }
    }

    private static String digest(Map<String, byte[]> attributes) {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
        attributes.forEach((key, content) -> {
            digest.update(key.getBytes(StandardCharsets.ISO_8859_1));
            digest.update((byte) 0);
            digest.update(Integer.toString(content.length).getBytes(StandardCharsets.US_ASCII));
            digest.update((byte) 0);
            digest.update(content);
        });
        return HexFormat.of().formatHex(digest.digest());
    }

    @Override
    public void close() throws ErrnoException {
        try (workingDirectory) {
            Libc.fchdir(workingDirectory.number());
        }
    }
}
