package pve.oci.rootfs;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import pve.oci.linux.CString;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;

/**
 * Walks a path that leads through symbolic links, inside the root: what openat2(2) does with RESOLVE_IN_ROOT, but it
 * tells which links it followed, and can make what is missing. The way so far is kept as a path without links, so that
 * ".." is the directory that was come from and no more than one is open.
 */
final class LinkWalk {
    /** include/linux/namei.h: MAXSYMLINKS */
    private static final int MAXIMUM_LINKS = 40;

    private final Steps steps;
    private final Deque<byte[]> components = new ArrayDeque<>();
    private final byte[] way = new byte[EntryPath.PATH_MAX];
    private int length;
    private final CString path = new CString(EntryPath.PATH_MAX);
    private final NativeBuffer link = NativeBuffer.allocate(EntryPath.PATH_MAX);
    private final FileStatus status = new FileStatus();

    /** How directories are opened and made, and who learns of links. */
    interface Steps {
        /** Opens the directory of a path below the root; ELOOP when there is a symbolic link in it. */
        Fd open(byte[] bytes, int length) throws IOException;

        /** Makes a directory that is missing. */
        void make(Fd parent, byte[] name) throws IOException;

        /** A link was followed, whose directory is the one identified. */
        void followed(long device, long inode, byte[] name);
    }

    LinkWalk(Steps steps) {
        this.steps = steps;
    }

    /** Opens the directory that the path leads to; what is missing of it is made, if that is wanted. */
    Fd open(Fd root, byte[] bytes, int end, boolean makes) throws IOException {
        components.clear();
        length = 0;
        pushComponents(bytes, end);
        int links = 0;
        while (!components.isEmpty()) {
            byte[] component = components.pop();
            if (component.length == 2 && component[0] == '.' && component[1] == '.') {
                leave();
            } else if (!enter(component, makes)) {
                if (++links > MAXIMUM_LINKS) {
                    throw new ErrnoException("openat2", Errno.ELOOP);
                }
                follow(root, component);
            }
        }
        return steps.open(way, length);
    }

    private void pushComponents(byte[] bytes, int end) {
        int at = end;
        while (at > 0) {
            int start = at - 1;
            while (start >= 0 && bytes[start] != '/') {
                start--;
            }
            byte[] component = Arrays.copyOfRange(bytes, start + 1, at);
            if (component.length > 0 && !(component.length == 1 && component[0] == '.')) {
                components.push(component);
            }
            at = start;
        }
    }

    /** To the directory above; the root's is the root. */
    private void leave() {
        while (length > 0 && way[length - 1] != '/') {
            length--;
        }
        length = Math.max(0, length - 1);
    }

    /** Appends the component to the way; false when it is a symbolic link. */
    private boolean enter(byte[] component, boolean makes) throws IOException {
        int joined = join(component);
        try {
            steps.open(way, joined).close();
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ELOOP) {
                return false;
            }
            if (e.errno() != Errno.ENOENT || !makes) {
                throw e;
            }
            try (Fd parent = steps.open(way, length)) {
                steps.make(parent, component);
            }
        }
        length = joined;
        return true;
    }

    /** Writes the component behind the way, and says where it ends. */
    private int join(byte[] component) throws IOException {
        int start = length == 0 ? 0 : length + 1;
        if (start + component.length >= EntryPath.PATH_MAX) {
            throw new ErrnoException("openat2", Errno.ENAMETOOLONG);
        }
        if (length > 0) {
            way[length] = '/';
        }
        System.arraycopy(component, 0, way, start, component.length);
        return start + component.length;
    }

    private void follow(Fd root, byte[] component) throws IOException {
        int size = (int) Libc.readlinkat(root.number(), path.set(way, 0, join(component)), link.address(), link.size());
        byte[] target = new byte[size];
        link.buffer().get(0, target);
        if (length == 0) {
            status.read(root.number());
        } else {
            status.read(root.number(), path.set(way, 0, length));
        }
        steps.followed(status.device(), status.inode(), component);
        if (target[0] == '/') {
            length = 0;
        }
        pushComponents(target, target.length);
    }
}
