package pve.oci.rootfs;

import java.io.IOException;

/** The root directory holds something that is neither a directory nor on another volume. */
public final class RootfsNotEmptyException extends IOException {
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
