package pve.oci.layer;

import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.ErrnoException;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.EntryPath;
import pve.oci.tar.TarLimitException;
import pve.oci.text.Text;

/** The layer and the entry that are being applied, and the interface's errors about them. */
final class CurrentEntry {
    final EntryPath path = new EntryPath();
    private @Nullable Layer layer;

    /** False between the entries of a layer: an error is about the layer then. */
    private boolean isAtEntry;

    void begin(Layer next) {
        layer = next;
        isAtEntry = false;
    }

    Layer layer() {
        if (layer == null) {
            throw new IllegalStateException("no layer is being applied");
        }
        return layer;
    }

    /** Begins with an entry: takes over its name, cleaned. */
    void enter(byte[] name, int length) throws ImageException {
        isAtEntry = false;
        set(path, name, length, "name");
        isAtEntry = true;
    }

    void leave() {
        isAtEntry = false;
    }

    /** Takes over a name of the entry: its own, or the target of a hard link. */
    void set(EntryPath into, byte[] name, int length, String what) throws ImageException {
        switch (into.set(name, length)) {
            case NONE -> {}
            case LEAVES_ROOT -> {
                String shown = Text.name(name, length);
                String reason = what + " has a '..' that leads outside the root directory";
                throw isAtEntry ? refused("hard link to " + shown + ": " + reason) : refused(layer(), shown, reason);
            }
            case TOO_LONG -> throw limit("PATH_MAX", EntryPath.PATH_MAX - 1, what + " is too long");
        }
    }

    /** The error for a system call that failed. */
    ImageException failed(ErrnoException e) {
        return failed(layer(), path.toString(), e);
    }

    /** The error for a system call that failed, for a reason that its name does not tell. */
    ImageException failed(ErrnoException e, String reason) {
        return failed(layer(), path.toString(), e, reason + ": " + e.getMessage());
    }

    /** The error for a system call that failed for this entry, which may be an earlier one than the current. */
    static ImageException failed(Layer layer, String entryPath, ErrnoException e) {
        return failed(layer, entryPath, e, String.valueOf(e.getMessage()));
    }

    private static ImageException failed(Layer layer, String entryPath, ErrnoException e, String message) {
        return ImageException.of(ImageError.ENTRY_FAILED)
                .with("layerDigest", layer.descriptor().digest().toString())
                .with("layerIndex", layer.index())
                .with("entryPath", entryPath)
                .withAll(e.parameters())
                .cause(e)
                .message(layer + ", entry " + entryPath + ": " + message);
    }

    ImageException refused(String reason) {
        return refused(layer(), path.toString(), reason);
    }

    private static ImageException refused(Layer layer, String entryPath, String reason) {
        return ImageException.of(ImageError.REFUSED_ENTRY)
                .with("layerDigest", layer.descriptor().digest().toString())
                .with("layerIndex", layer.index())
                .with("entryPath", entryPath)
                .with("reason", reason)
                .message(layer + ", entry " + entryPath + ": " + reason);
    }

    /** The error for a limit that the entry, or the layer as a whole, exceeds. */
    ImageException limit(String name, long maximum, String what) {
        return limit(name, maximum).exceeded(prefix() + what);
    }

    /** The error for one of the tar reader's limits. */
    ImageException limit(TarLimitException e) {
        return limit(e.limit(), e.maximum()).cause(e).exceeded(prefix() + e.getMessage());
    }

    private ImageException.Builder limit(String name, long maximum) {
        ImageException.Builder builder = ImageException.limit(name, maximum)
                .with("layerDigest", layer().descriptor().digest().toString());
        if (isAtEntry) {
            builder.with("entryPath", path.toString());
        }
        return builder;
    }

    ImageException malformed(long offset, Exception cause) {
        return ImageException.of(ImageError.MALFORMED_ARCHIVE)
                .with("blobDigest", layer().descriptor().digest().toString())
                .with("offset", offset)
                .cause(cause)
                .message(prefix() + cause.getMessage());
    }

    private String prefix() {
        return layer() + (isAtEntry ? ", entry " + path : "") + ": ";
    }
}
