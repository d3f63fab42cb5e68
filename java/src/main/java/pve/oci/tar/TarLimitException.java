package pve.oci.tar;

import java.io.IOException;

/** A tar archive with a part that is larger than {@link TarLimits} allow. */
public final class TarLimitException extends IOException {
    private static final long serialVersionUID = 1;

    private final String limit;
    private final long maximum;
    private final long offset;

    /**
     * @param limit what is limited, in words ("size of a PAX header")
     * @param maximum the largest value that is accepted
     * @param offset in the (decompressed) archive of the header that asks for more
     */
    public TarLimitException(String limit, long maximum, long offset) {
        super("tar archive: " + limit + " exceeds the limit of " + maximum + " (offset " + offset + ")");
        this.limit = limit;
        this.maximum = maximum;
        this.offset = offset;
    }

    public String limit() {
        return limit;
    }

    public long maximum() {
        return maximum;
    }

    public long offset() {
        return offset;
    }
}
