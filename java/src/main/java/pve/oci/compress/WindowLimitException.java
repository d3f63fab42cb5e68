package pve.oci.compress;

import java.io.IOException;

/** A zstd frame that needs more memory for its window than is allowed. */
public final class WindowLimitException extends IOException {
    private static final long serialVersionUID = 1;

    private final long maximum;
    private final long offset;

    /**
     * @param maximum size of a window in bytes
     * @param offset in the compressed data up to which it was read when the error was seen
     */
    public WindowLimitException(long maximum, long offset) {
        super("zstd: window of a frame exceeds the limit of " + maximum + " bytes (offset " + offset + ")");
        this.maximum = maximum;
        this.offset = offset;
    }

    public long maximum() {
        return maximum;
    }

    public long offset() {
        return offset;
    }
}
