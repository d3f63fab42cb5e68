package pve.oci.fuzz;

import java.io.IOException;
import pve.oci.varlink.Call;

/** A frame of a client is a call, or is refused. */
public final class FrameFuzz {
    private FrameFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) {
        try {
            Call call = Call.parse(input);
            // a name that no interface has, "" too, is answered; it is no broken frame
            if (call.method().length() > input.length) {
                throw new AssertionError("a method that is longer than the frame");
            }
        } catch (IOException e) {
            // refused, as it has to be
        }
    }
}
