package pve.oci.json;

import java.io.IOException;

/** A text that is not the JSON that was asked for: malformed, too large, too deep, or of the wrong type. */
public final class JsonFormatException extends IOException {
    private static final long serialVersionUID = 1;

    public JsonFormatException(String reason) {
        super(reason);
    }
}
