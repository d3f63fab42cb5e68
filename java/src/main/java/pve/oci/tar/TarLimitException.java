package pve.oci.tar;

import java.io.IOException;

/** A tar archive with a part that is larger than {@link TarLimits} allow. */
public final class TarLimitException extends IOException {
    private static final long serialVersionUID = 1;

    private final String limit;
    private final long maximum;
    private final long offset;

    /**
     * @param what what is too large; whoever reports the exception adds the limit
     * @param limit name of the component of {@link TarLimits}
     * @param maximum the largest value that is accepted
     * @param offset of the header that asks for more, in the decompressed archive
     */
    public TarLimitException(String what, String limit, long maximum, long offset) {
        super("tar archive: " + what + " (offset " + offset + ")");
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
