package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import pve.oci.linux.CString;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Everything below a directory, by path. Written on system calls of its own, not on {@code rootfs}: names as bytes
 * (here one char each), any depth, nothing followed.
 */
final class TreeScanner {
    private static final int AT_FDCWD = -100;

    private final Map<String, ScannedEntry> entries = new TreeMap<>();
    private final FileStatus status = new FileStatus();
    private final NativeBuffer memory = NativeBuffer.allocate(1 << 17);

    /**
     * One entry. The content of a file, the target of a symbolic link and the attributes' values have a char a byte.
     */
    record ScannedEntry(
            int type,
            int mode,
            int uid,
            int gid,
            long inode,
            long links,
            long seconds,
            int nanos,
            long size,
            String content,
            Map<String, String> attributes) {}

    static Map<String, ScannedEntry> scan(String directory) throws ErrnoException {
        TreeScanner scanner = new TreeScanner();
        try (Fd root = open(AT_FDCWD, directory.getBytes(UTF_8), Libc.O_RDONLY | Libc.O_DIRECTORY)) {
            scanner.add(".", root.number(), new byte[] {'.'});
            scanner.list(root, "");
        }
        return scanner.entries;
    }

    private void list(Fd directory, String prefix) throws ErrnoException {
        for (byte[] name : names(directory)) {
            String path = prefix + new String(name, ISO_8859_1);
            if (add(path, directory.number(), name).type() == Libc.S_IFDIR) {
                try (Fd below = open(directory.number(), name, Libc.O_RDONLY | Libc.O_DIRECTORY)) {
                    list(below, path + "/");
                }
            }
        }
    }

    private List<byte[]> names(Fd directory) throws ErrnoException {
        List<byte[]> names = new ArrayList<>();
        while (true) {
            int length = (int) Libc.getdents64(directory.number(), memory.address(), memory.size());
            if (length == 0) {
                return names;
            }
            for (int at = 0; at < length; at += memory.buffer().getShort(at + 16)) {
                ByteArrayOutputStream name = new ByteArrayOutputStream();
                for (int i = at + 19; memory.buffer().get(i) != 0; i++) {
                    name.write(memory.buffer().get(i));
                }
                if (!name.toString(ISO_8859_1).matches("\\.\\.?")) {
                    names.add(name.toByteArray());
                }
            }
        }
    }

    private ScannedEntry add(String path, int parent, byte[] name) throws ErrnoException {
        CString string = CString.of(name);
        status.read(parent, string.address());
        int type = status.type();
        String content = "";
        Map<String, String> attributes = Map.of();
        long size = status.size();
        long seconds = status.modifiedSeconds();
        int nanos = status.modifiedNanos();
        int mode = status.mode() & 07777;
        int uid = status.uid();
        int gid = status.gid();
        long inode = status.inode();
        long links = status.links();
        if (type == Libc.S_IFLNK) {
            content = text(Libc.readlinkat(parent, string.address(), memory.address(), memory.size()));
        } else if (type == Libc.S_IFREG || type == Libc.S_IFDIR) {
            try (Fd fd = open(parent, name, Libc.O_RDONLY)) {
                attributes = attributes(fd);
                content = type == Libc.S_IFREG ? content(fd) : content;
            }
        }
        ScannedEntry entry =
                new ScannedEntry(type, mode, uid, gid, inode, links, seconds, nanos, size, content, attributes);
        entries.put(path, entry);
        return entry;
    }

    private String text(long length) {
        byte[] bytes = new byte[(int) length];
        memory.buffer().get(0, bytes);
        return new String(bytes, ISO_8859_1);
    }

    /** No more than a mebibyte of it: larger ones are compared by size. */
    private String content(Fd fd) throws ErrnoException {
        StringBuilder content = new StringBuilder();
        long count = 1;
        while (count > 0 && content.length() < 1 << 20) {
            count = Libc.read(fd.number(), memory.address(), memory.size());
            content.append(text(count));
        }
        return content.toString();
    }

    private Map<String, String> attributes(Fd fd) throws ErrnoException {
        Map<String, String> attributes = new TreeMap<>();
        long length = Libc.flistxattr(fd.number(), memory.address(), memory.size());
        for (String name : text(length).split("\0", 0)) {
            if (!name.isEmpty() && !name.equals("security.selinux")) {
                CString string = CString.of(name.getBytes(ISO_8859_1));
                attributes.put(
                        name, text(Libc.fgetxattr(fd.number(), string.address(), memory.address(), memory.size())));
            }
        }
        return attributes;
    }

    private static Fd open(int parent, byte[] name, int flags) throws ErrnoException {
        return new Fd(Libc.openat(parent, CString.of(name).address(), flags | Libc.O_NOFOLLOW | Libc.O_CLOEXEC, 0));
    }
}
