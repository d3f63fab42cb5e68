package pve.oci.rootfs;

import java.io.IOException;

/**
 * The order of entries and whiteouts in the layer has made a difference. What a layer gives must not depend on where
 * its whiteouts stand (layer.md, Whiteouts), so everything has to be applied again, with the whiteouts of each layer
 * before its entries.
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
