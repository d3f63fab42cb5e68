package pve.oci.linux;

/** An open file descriptor that has one owner. Closing it twice is harmless. */
public final class Fd implements AutoCloseable {
    private int number;

    /** Takes over the descriptor: closing this object closes it. */
    public Fd(int number) {
        this.number = number;
    }

    /** Opens a directory by its name in another; a symbolic link is not followed. */
    public static Fd openDirectory(Fd parent, long name) throws ErrnoException {
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        return new Fd(Libc.openat(parent.number(), name, flags, 0));
    }

    /** The number, for a system call. */
    public int number() {
        if (number < 0) {
            throw new IllegalStateException("file descriptor is closed");
        }
        return number;
    }

    public boolean isOpen() {
        return number >= 0;
    }

    /** Returns the number, which this object no longer closes. */
    public int release() {
        int released = number();
        number = -1;
        return released;
    }

    @Override
    public void close() {
        if (number >= 0) {
            int closing = number;
            number = -1;
            // close(2): the descriptor is gone whatever is returned, and write errors were seen by write
            Libc.close(closing);
        }
    }

    @Override
    public String toString() {
        return "fd " + number;
    }
}
