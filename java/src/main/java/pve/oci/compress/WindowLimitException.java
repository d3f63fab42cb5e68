package pve.oci.compress;

import java.io.IOException;

/** A zstd frame that needs more memory for its window than is allowed. */
public final class WindowLimitException extends IOException {
    private static final long serialVersionUID = 1;

    private final int maximum;
    private final long offset;

    /**
     * @param maximum binary logarithm of the largest window that is accepted, in bytes
     * @param offset in the compressed data up to which it was read when the error was seen
     */
    public WindowLimitException(int maximum, long offset) {
        super("zstd: window of a frame is too large (offset " + offset + ")");
        this.maximum = maximum;
        this.offset = offset;
    }

    public int maximum() {
        return maximum;
    }

    public long offset() {
        return offset;
    }
}
