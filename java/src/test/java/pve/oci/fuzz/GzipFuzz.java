package pve.oci.fuzz;

import java.io.IOException;
import pve.oci.compress.Compression;

/** gzip, every member. */
public final class GzipFuzz {
    private GzipFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) throws IOException {
        CompressedFuzz.check(Compression.GZIP, input);
    }
}
