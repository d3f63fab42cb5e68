package pve.oci.linux;

import java.lang.ref.Reference;

/** Detached mounts: trees that are mounted nowhere, in which {@code ..} ends at their root. */
public final class Mounts {
    // linux/unistd.h: from 424 on every architecture has the same numbers
    private static final long SYS_FSOPEN = 430;
    private static final long SYS_FSCONFIG = 431;
    private static final long SYS_FSMOUNT = 432;
    private static final int FSOPEN_CLOEXEC = 1;
    private static final int FSMOUNT_CLOEXEC = 1;
    private static final int FSCONFIG_SET_STRING = 1;
    private static final int FSCONFIG_CMD_CREATE = 6;

    private Mounts() {}

    /** A detached copy of the directory's mount and of all mounts below it, with the given MOUNT_ATTR bits set. */
    public static Fd cloneTree(Fd directory, long attributes) throws ErrnoException {
        int flags = Libc.OPEN_TREE_CLONE | Libc.OPEN_TREE_CLOEXEC | Libc.AT_EMPTY_PATH | Libc.AT_RECURSIVE;
        Fd tree = new Fd(Libc.openTree(directory.number(), CString.EMPTY, flags));
        NativeBuffer change = NativeBuffer.allocate(32);
        change.buffer().putLong(0, attributes);
        try {
            Libc.mountSetattr(tree.number(), CString.EMPTY, Libc.AT_EMPTY_PATH | Libc.AT_RECURSIVE, change.address());
            return tree;
        } catch (ErrnoException e) {
            tree.close();
            throw e;
        } finally {
            Reference.reachabilityFence(change);
        }
    }

    /**
     * A new tmpfs, detached.
     *
     * @param options names and values of tmpfs(5), one after the other
     */
    public static Fd tmpfs(long attributes, String... options) throws ErrnoException {
        try (Fd context = fsopen("tmpfs")) {
            for (int i = 0; i < options.length; i += 2) {
                setString(context, options[i], options[i + 1]);
            }
            Libc.syscall("fsconfig", SYS_FSCONFIG, context.number(), FSCONFIG_CMD_CREATE, 0, 0, 0);
            return new Fd(
                    (int) Libc.syscall("fsmount", SYS_FSMOUNT, context.number(), FSMOUNT_CLOEXEC, attributes, 0, 0));
        }
    }

    /** {@code int fsopen(const char *fsname, unsigned int flags)} */
    private static Fd fsopen(String type) throws ErrnoException {
        return new Fd(CString.lend(
                type, address -> (int) Libc.syscall("fsopen", SYS_FSOPEN, address, FSOPEN_CLOEXEC, 0, 0, 0)));
    }

    /** {@code int fsconfig(int fd, unsigned int cmd, const char *key, const void *value, int aux)} */
    private static void setString(Fd context, String key, String value) throws ErrnoException {
        CString.lend(
                key,
                name -> CString.lend(
                        value,
                        text -> Libc.syscall(
                                "fsconfig", SYS_FSCONFIG, context.number(), FSCONFIG_SET_STRING, name, text, 0)));
    }
}
