package pve.oci.json;

import java.io.IOException;

/** A text that is not the JSON that was asked for: malformed, too large, too deep, or of the wrong type. */
public sealed class JsonFormatException extends IOException permits JsonLimitException {
    private static final long serialVersionUID = 1;

    public JsonFormatException(String reason) {
        super(reason);
    }
}
