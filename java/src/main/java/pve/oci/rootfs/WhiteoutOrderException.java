package pve.oci.rootfs;

import java.io.IOException;

/**
 * A whiteout came after an entry, or before one, that would have led elsewhere had the whiteouts of the layer been
 * applied first. What a layer gives must not depend on the place of a whiteout in it (layer.md, Whiteouts), so the
 * layer has to be applied anew, its whiteouts first.
 */
public final class WhiteoutOrderException extends IOException {
    private static final long serialVersionUID = 1;

    public WhiteoutOrderException() {
        super("the result would depend on the order of whiteouts and entries");
    }

    @Override
    public synchronized Throwable fillInStackTrace() {
        return this;
    }
}
