package pve.oci.fuzz;

import java.io.IOException;
import pve.oci.compress.Compression;

/** zstd, every frame. */
public final class ZstdFuzz {
    private ZstdFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) throws IOException {
        CompressedFuzz.check(Compression.ZSTD, input);
    }
}
