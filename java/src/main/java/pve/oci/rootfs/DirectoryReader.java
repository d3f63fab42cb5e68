package pve.oci.rootfs;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/** Lists a directory by getdents64(2), "." and ".." left out. One listing at a time; one thread owns it. */
public final class DirectoryReader {
    private static final int DT_UNKNOWN = 0;
    private static final int NAME_MAX = 255;

    private final NativeBuffer buffer = NativeBuffer.allocate(32 << 10);
    private final CString name = new CString(NAME_MAX);
    private final FileStatus status = new FileStatus();

    /** What is done with each name. */
    public interface NameVisitor {
        /**
         * Returns whether to go on.
         *
         * @param type one of the S_IF constants of {@link Libc}
         */
        boolean visit(byte[] name, int type) throws IOException;
    }

    /**
     * Visits every name once. The visitor may remove the name it is given.
     *
     * @return whether all were visited
     */
    public boolean list(Fd fd, NameVisitor visitor) throws IOException {
        while (true) {
            int length = (int) Libc.getdents64(fd.number(), buffer.address(), buffer.size());
            if (length == 0) {
                return true;
            }
            // struct linux_dirent64: d_ino 64, d_off 64, d_reclen 16, d_type 8, d_name
            ByteBuffer entries = buffer.buffer();
            for (int at = 0; at < length; at += entries.getShort(at + 16) & 0xffff) {
                byte[] bytes = name(entries, at + 19, (entries.getShort(at + 16) & 0xffff) - 19);
                if (!isDots(bytes) && !visitor.visit(bytes, type(fd, entries.get(at + 18), bytes))) {
                    return false;
                }
            }
        }
    }

    /** @param size of the name with its NUL and what fills the entry up */
    private static byte[] name(ByteBuffer entries, int start, int size) {
        byte[] padded = new byte[size];
        entries.get(start, padded);
        int end = 0;
        while (padded[end] != 0) {
            end++;
        }
        return Arrays.copyOf(padded, end);
    }

    private static boolean isDots(byte[] name) {
        return name[0] == '.' && (name.length == 1 || (name.length == 2 && name[1] == '.'));
    }

    /** DT_DIR and the like are the S_IF constants without their zeros. Some file systems do not say the type. */
    private int type(Fd fd, int type, byte[] bytes) throws IOException {
        if (type != DT_UNKNOWN) {
            return type << 12;
        }
        return status.read(fd.number(), name.set(bytes)).type();
    }
}
