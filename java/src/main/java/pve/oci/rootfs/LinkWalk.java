package pve.oci.rootfs;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Walks a path that leads through symbolic links, as if the root were "/". openat2(2) does that with RESOLVE_IN_ROOT,
 * but does not tell which links it followed, and cannot make what is missing.
 *
 * <p>Why the walk cannot leave the root, even if somebody renames directories meanwhile: every step opens components
 * below a directory that is open, and the kernel follows neither a symbolic link nor ".." in it ({@link
 * DirectoryOpener}). The text of a link is only read, and its components are walked like any others. ".." is never
 * given to the kernel: it shortens the way that was walked so far, which is opened again from the root; at the root it
 * changes nothing. So a race can make the walk fail or find another directory of this root, and that is all.
 *
 * <p>Why it ends soon: the kernel walks all components before the next link at once, and how many these are is found by
 * trying; the number of links is bounded as in the kernel; and all components count as {@link Steps}.
 */
final class LinkWalk {
    /** include/linux/namei.h: MAXSYMLINKS */
    private static final int MAXIMUM_LINKS = 40;

    private static final byte[] PARENT = {'.', '.'};

    private final DirectoryOpener opener;
    private final CString name = new CString(EntryPath.PATH_MAX);
    private final NativeBuffer linkText = NativeBuffer.allocate(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();

    /** What is still to be walked. */
    private final Deque<byte[]> components = new ArrayDeque<>();

    /** The components walked so far, without links. */
    private final List<byte[]> way = new ArrayList<>();

    private int wayLength;
    private final List<Long> links = new ArrayList<>();
    private final List<Long> left = new ArrayList<>();

    LinkWalk(DirectoryOpener opener) {
        this.opener = opener;
    }

    /** Opens the directory that the path leads to from the root; what is missing of it is made, if that is wanted. */
    Directory open(Directory root, byte[] path, boolean makes) throws IOException {
        components.clear();
        way.clear();
        wayLength = 0;
        links.clear();
        left.clear();
        pushComponents(path);
        Fd current = opener.open(root.fd(), new byte[0], 0);
        try {
            while (!components.isEmpty()) {
                Fd next = Arrays.equals(components.element(), PARENT)
                        ? leave(root, current)
                        : advance(root, current, makes);
                current.close();
                current = next;
            }
            Fd found = current;
            current = new Fd(-1);
            return opener.describe(found, join(way), new LinkUse(keys(links), keys(left)));
        } finally {
            current.close();
        }
    }

    private static long[] keys(List<Long> list) {
        return list.stream().mapToLong(Long::longValue).toArray();
    }

    private void pushComponents(byte[] path) {
        int at = path.length;
        while (at > 0) {
            int start = at - 1;
            while (start >= 0 && path[start] != '/') {
                start--;
            }
            byte[] component = Arrays.copyOfRange(path, start + 1, at);
            if (component.length > 0 && !(component.length == 1 && component[0] == '.')) {
                components.push(component);
            }
            at = start;
        }
    }

    /** Goes to the directory above. Above the root is the root itself. */
    private Fd leave(Directory root, Fd current) throws IOException {
        components.remove();
        if (!way.isEmpty()) {
            byte[] directory = way.remove(way.size() - 1);
            wayLength -= directory.length + 1;
            Fd above = opener.open(root.fd(), join(way), way.size());
            left.add(keyOf(above, directory));
            return above;
        }
        return opener.open(current, new byte[0], 0);
    }

    /**
     * Walks as many components as the kernel does in one go, or follows the link, or makes the directory that is next.
     */
    private Fd advance(Directory root, Fd current, boolean makes) throws IOException {
        List<byte[]> whole = run();
        List<byte[]> run = whole;
        while (true) {
            try {
                checkLength(run);
                Fd next = opener.open(current, join(run), run.size());
                run.forEach(this::enter);
                return next;
            } catch (ErrnoException e) {
                if (run.size() > 1) {
                    // mostly the last component is the link that leads on
                    boolean isFirstTry = run == whole;
                    run = run.subList(0, isFirstTry ? run.size() - 1 : run.size() / 2);
                } else if (e.errno() == Errno.ELOOP) {
                    return follow(root, current);
                } else if (e.errno() == Errno.ENOENT && makes) {
                    return make(current);
                } else {
                    throw e;
                }
            }
        }
    }

    private void enter(byte[] component) {
        components.remove();
        way.add(component);
        wayLength += component.length + 1;
    }

    /** The components up to the next "..", as many as make a path that the kernel takes. */
    private List<byte[]> run() {
        List<byte[]> run = new ArrayList<>();
        int length = 0;
        for (byte[] component : components) {
            length += component.length + 1;
            if (Arrays.equals(component, PARENT) || (length > EntryPath.PATH_MAX && !run.isEmpty())) {
                break;
            }
            run.add(component);
        }
        return run;
    }

    private void checkLength(List<byte[]> run) throws ErrnoException {
        int length = wayLength;
        for (byte[] component : run) {
            length += component.length + 1;
        }
        if (length > EntryPath.PATH_MAX) {
            throw new ErrnoException("openat2", Errno.ENAMETOOLONG);
        }
    }

    private static byte[] join(List<byte[]> parts) {
        ByteArrayOutputStream path = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            if (path.size() > 0) {
                path.write('/');
            }
            path.writeBytes(part);
        }
        return path.toByteArray();
    }

    private Fd make(Fd current) throws IOException {
        byte[] component = components.element();
        // a descriptor of its own: the directory that is described closes it
        try (Directory parent = opener.describe(opener.open(current, new byte[0], 0), join(way), LinkUse.NONE)) {
            Fd made = opener.make(parent, component, LinkUse.NONE).fd();
            enter(component);
            return made;
        }
    }

    /** The next component is a symbolic link: puts the components of its text in its place. */
    private Fd follow(Directory root, Fd current) throws IOException {
        byte[] component = components.remove();
        if (links.size() >= MAXIMUM_LINKS) {
            throw new ErrnoException("openat2", Errno.ELOOP);
        }
        int size = (int) Libc.readlinkat(current.number(), name.set(component), linkText.address(), linkText.size());
        byte[] target = new byte[size];
        linkText.buffer().get(0, target);
        links.add(keyOf(current, component));
        pushComponents(target);
        if (target.length > 0 && target[0] == '/') {
            way.clear();
            wayLength = 0;
            return opener.open(root.fd(), new byte[0], 0);
        }
        return opener.open(current, new byte[0], 0);
    }

    private long keyOf(Fd directory, byte[] entry) throws IOException {
        status.read(directory.number());
        return EntryKeys.key(status.device(), status.inode(), entry);
    }
}
