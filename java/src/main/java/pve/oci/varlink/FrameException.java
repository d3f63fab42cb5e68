package pve.oci.varlink;

import java.io.IOException;

/** The other end does not keep to the protocol, or does not read; the connection cannot go on. */
public final class FrameException extends IOException {
    private static final long serialVersionUID = 1;

    public FrameException(String reason) {
        super(reason);
    }
}
