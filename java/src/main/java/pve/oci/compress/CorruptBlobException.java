package pve.oci.compress;

import java.io.IOException;

/** Compressed data that cannot be decompressed. */
public final class CorruptBlobException extends IOException {
    private static final long serialVersionUID = 1;

    private final long offset;
    private final String reason;

    /**
     * @param offset in the compressed data up to which it was read when the error was seen
     * @param reason what is wrong, beginning with the compression's name
     */
    public CorruptBlobException(long offset, String reason) {
        super(reason + " (offset " + offset + ")");
        this.offset = offset;
        this.reason = reason;
    }

    public long offset() {
        return offset;
    }

    public String reason() {
        return reason;
    }
}
