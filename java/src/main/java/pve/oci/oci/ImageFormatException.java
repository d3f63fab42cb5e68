package pve.oci.oci;

import java.io.IOException;
import pve.oci.text.Text;

/** A JSON document of the image that breaks the image-spec. The message is clean text, without the document's name. */
public final class ImageFormatException extends IOException {
    private static final long serialVersionUID = 1;

    private final String pointer;

    /**
     * @param pointer where in the document, as a JSON pointer (RFC 6901); "" for the whole document
     * @param reason clean text
     */
    public ImageFormatException(String pointer, String reason) {
        super(pointer.isEmpty() ? reason : reason + " at " + Text.clean(pointer));
        this.pointer = pointer;
    }

    public String pointer() {
        return pointer;
    }
}
