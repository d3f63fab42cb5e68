package pve.oci.rootfs;

import java.io.IOException;
import pve.oci.text.Text;

/** The root directory may not be used: it holds more than a new root file system does. */
public final class RootfsNotEmptyException extends IOException {
    private static final long serialVersionUID = 1;

    private RootfsNotEmptyException(String reason) {
        super(reason);
    }

    /** @param path the first entry found that must not be there, from the root on */
    static RootfsNotEmptyException holds(byte[] path) {
        return new RootfsNotEmptyException("it holds " + Text.name(path)
                + "; only lost+found and volumes mounted below it may hold anything but directories");
    }

    static RootfsNotEmptyException holdsMoreThan(int directories) {
        return new RootfsNotEmptyException("it holds more than " + directories + " entries");
    }

    /** "it holds ...", which follows "root directory NAME is not empty: ". */
    public String reason() {
        return String.valueOf(getMessage());
    }
}
