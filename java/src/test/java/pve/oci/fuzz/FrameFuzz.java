package pve.oci.fuzz;

import java.io.IOException;
import pve.oci.varlink.Call;

/** A frame of a client: a call, or refused. */
public final class FrameFuzz {
    private FrameFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) {
        try {
            Call call = Call.parse(input);
            if (call.method().isEmpty()) {
                throw new AssertionError("a call of nothing");
            }
        } catch (IOException e) {
            // as it has to be
        }
    }
}
