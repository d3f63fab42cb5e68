package pve.oci.layer;

import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.oci.ImageException;

/** The interface's errors about an entry of a layer. */
final class EntryErrors {
    private EntryErrors() {}

    /** A system call failed. */
    static ImageException failed(Layer layer, String entryPath, ErrnoException e) {
        return ImageException.of("EntryFailed")
                .with("layerDigest", layer.descriptor().digest().toString())
                .with("layerIndex", layer.index())
                .with("entryPath", entryPath)
                .with("operation", e.call())
                .with("errno", e.errno())
                .with("errnoName", Errno.name(e.errno()))
                .cause(e)
                .message(layer + ", entry " + entryPath + ": " + e.getMessage());
    }

    /** The entry is what no image may hold. */
    static ImageException refused(Layer layer, String entryPath, String reason) {
        return ImageException.of("RefusedEntry")
                .with("layerDigest", layer.descriptor().digest().toString())
                .with("layerIndex", layer.index())
                .with("entryPath", entryPath)
                .with("reason", reason)
                .message(layer + ", entry " + entryPath + ": " + reason);
    }

    /** A limit is exceeded, by an entry or by the layer as a whole. */
    static ImageException limit(Layer layer, @Nullable String entryPath, String name, long maximum, String what) {
        ImageException.Builder builder = ImageException.of("LimitExceeded")
                .with("limit", name)
                .with("maximum", maximum)
                .with("layerDigest", layer.descriptor().digest().toString());
        if (entryPath != null) {
            builder.with("entryPath", entryPath);
        }
        return builder.message(layer + (entryPath == null ? "" : ", entry " + entryPath) + ": " + what
                + ", exceeds the limit of " + maximum + " (" + name + ")");
    }
}
