package pve.oci.rootfs;

/** The root directory holds something that is neither a directory nor on another volume; unchecked on the walk's way. */
public final class RootfsNotEmptyException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final byte[] path;

    RootfsNotEmptyException(byte[] path) {
        this.path = path.clone();
    }

    /** The first such entry found, below the root. */
    public byte[] path() {
        return path.clone();
    }
}
