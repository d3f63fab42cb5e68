package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.text.Text;

/** The root directory holds more than directories and other volumes. The message says what. */
public final class RootfsNotEmptyException extends IOException {
    private static final long serialVersionUID = 1;

    /** @param path the first such entry found, below the root */
    RootfsNotEmptyException(byte[] path) {
        super("it holds " + Text.name(path));
    }

    RootfsNotEmptyException(int maximum) {
        super("it holds more than " + maximum + " entries");
    }
}
