package pve.oci.fuzz;

import java.io.IOException;
import pve.oci.tar.TarBuilder;

/** The content of a PAX header before a file, which may become a sparse one. */
public final class PaxFuzz {
    private PaxFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) throws IOException {
        TarFuzz.fuzzerTestOneInput(new TarBuilder()
                .paxBytes(input)
                .paxHeader('x')
                .file("f", new byte[600])
                .file("next", "1")
                .build());
    }
}
