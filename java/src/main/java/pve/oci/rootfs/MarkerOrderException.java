package pve.oci.rootfs;

/**
 * A whiteout removes a symbolic link that earlier entries of its layer were written through. Whiteouts are for what lower
 * layers have (layer.md), so those entries do not belong where the link led: the layer has to be applied anew, its
 * whiteouts first. Unchecked on its way through the removal of a tree.
 */
public final class MarkerOrderException extends RuntimeException {
    private static final long serialVersionUID = 1;

    MarkerOrderException() {
        super("a whiteout removes a symbolic link that was followed", null, true, false);
    }
}
