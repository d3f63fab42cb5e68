package pve.oci.compress;

import pve.oci.linux.IsaL;

/** Chooses the library that decompresses a blob. */
public final class Decompressors {
    private Decompressors() {}

    /**
     * A decompressor with the fastest library there is.
     *
     * @param windowLogMax binary logarithm of the largest window a zstd frame may have
     */
    public static Decompressor of(Compression compression, int windowLogMax) {
        return switch (compression) {
            case NONE -> new StoredDecompressor();
            case GZIP -> new GzipDecompressor(IsaL.isAvailable() ? new IsaLMember() : new ZlibMember());
            case ZSTD -> new ZstdDecompressor(windowLogMax);
        };
    }
}
