package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.text.Text;

/**
 * An entry of the image would replace something that was there before the extraction: a mount point, or something below
 * one.
 */
public final class ProtectedEntryException extends IOException {
    private static final long serialVersionUID = 1;

    ProtectedEntryException(byte[] path, String reason) {
        super("would replace " + Text.name(path) + ", " + reason + "; an image must not replace what was there before");
    }

    private ProtectedEntryException(String message) {
        super(message);
    }

    /** @param path a directory on a volume that {@link ExistingWalk} has closed */
    static ProtectedEntryException onClosedVolume(byte[] path) {
        return new ProtectedEntryException(
                "would write into " + Text.name(path) + ", which is on a mounted volume with more" + " than "
                        + ExistingWalk.MAXIMUM_IN_VOLUME + " entries; an image may write into new volumes only");
    }
}
