package pve.oci.compress;

import java.io.IOException;

/** A blob or an archive in a compression that layers cannot have (image-spec layer.md: tar, gzip, zstd). */
public final class UnsupportedCompressionException extends IOException {
    private static final long serialVersionUID = 1;

    private final String compression;

    public UnsupportedCompressionException(String compression) {
        super("unsupported compression or archive format: " + compression);
        this.compression = compression;
    }

    /** Its common name: {@code xz}. */
    public String compression() {
        return compression;
    }
}
