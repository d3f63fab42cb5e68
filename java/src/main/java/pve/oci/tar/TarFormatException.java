package pve.oci.tar;

import java.io.IOException;

/** A tar archive that cannot be read: malformed, truncated, or of a kind that is refused. */
public final class TarFormatException extends IOException {
    private static final long serialVersionUID = 1;

    private final long offset;
    private final String reason;

    /**
     * @param offset in the (decompressed) archive of the header or block that is wrong
     * @param reason what is wrong with it
     */
    public TarFormatException(long offset, String reason) {
        super("tar archive: " + reason + " (offset " + offset + ")");
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
