package pve.oci.layer;

import java.io.IOException;
import pve.oci.archive.Layer;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.ProtectedEntryException;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.WhiteoutOrderException;
import pve.oci.rootfs.Whiteouts;
import pve.oci.tar.EntryType;
import pve.oci.tar.TarEntry;
import pve.oci.tar.TarFormatException;
import pve.oci.tar.TarLimitException;
import pve.oci.tar.TarReader;

/**
 * Applies the entries of layers to a {@link Rootfs}, one layer after the other, by the rules of the image-spec's
 * layer.md. What is refused, or fails, is an {@link ImageException} that names layer and entry.
 */
public final class LayerApplier implements AutoCloseable {
    private final Rootfs rootfs;
    private final LayerLimits limits;
    private final Progress progress;
    private final Warnings warnings = new Warnings();
    private final CurrentEntry current = new CurrentEntry();
    private final FileWriter writer;
    private final EntryApplier entryApplier;
    private Pass pass = Pass.ALL;
    private long whiteouts;
    private long entries;
    private final StoredBytes stored = new StoredBytes();

    /** Bytes of content of whiteouts, which is not written, but decompressed like any other. */
    private long ignoredBytes;

    /**
     * @param uids ids inside the container's namespace; empty for a privileged container
     * @param gids likewise
     * @param cores see {@link LayerPipeline#cores}
     */
    public LayerApplier(
            Rootfs rootfs,
            MappedIds uids,
            MappedIds gids,
            boolean isPrivileged,
            LayerLimits limits,
            Progress progress,
            int cores) {
        this.rootfs = rootfs;
        this.limits = limits;
        this.progress = progress;
        writer = new FileWriter(rootfs, progress, cores);
        entryApplier = new EntryApplier(rootfs, isPrivileged, new EntryOwner(uids, gids), writer, current, warnings);
    }

    public Warnings warnings() {
        return warnings;
    }

    public long whiteouts() {
        return whiteouts;
    }

    /** What one reading of a layer applies. */
    public enum Pass {
        /** Everything, in one go. */
        ALL,
        /** Only its whiteouts. */
        WHITEOUTS,
        /** All but its whiteouts. */
        ENTRIES
    }

    /**
     * Applies the layer that the pipeline gives next, to its end. The content is verified by the caller.
     *
     * @throws WhiteoutOrderException in the pass ALL, when the layer needs two passes
     */
    public void apply(Layer layer, LayerPipeline source, Pass thisPass) throws IOException {
        pass = thisPass;
        long entriesBefore = entries;
        long ignoredBefore = ignoredBytes;
        current.begin(layer);
        rootfs.beginLayer(layer.index() == 0, pass == Pass.ALL);
        progress.layer(layer.index());
        source.beginLayer();
        writer.deferred().begin(source.slots());
        try {
            applyEntries(new TarReader(source, limits.tar()), source);
            readTrailer(source);
            writer.deferred().drain();
            checkDeferred();
            entryApplier.finishLayer();
            if (pass == Pass.WHITEOUTS) {
                rootfs.whiteouts().applyCollected();
                // the layer will be applied once more, from its first entry
                entries = entriesBefore;
                ignoredBytes = ignoredBefore;
            }
        } catch (ErrnoException e) {
            throw current.failed(e);
        } catch (TarLimitException e) {
            throw current.limit(e);
        } catch (TarFormatException e) {
            throw current.malformed(e.offset(), e);
        } catch (Steps.ExceededException e) {
            throw current.limit("maximumSteps", limits.maximumSteps(), String.valueOf(e.getMessage()));
        } catch (ProtectedEntryException e) {
            throw current.refused(String.valueOf(e.getMessage()));
        }
    }

    private void applyEntries(TarReader reader, LayerPipeline source) throws IOException {
        while (reader.next()) {
            TarEntry entry = reader.entry();
            current.enter(entry.name(), entry.nameLength());
            count(entry);
            EntryType type = entry.type();
            try {
                apply(reader, source);
            } catch (ErrnoException | ImageException e) {
                // with the whiteouts of the layer applied first, the entry may find what it needs
                throw mayDependOnOrder(e, type) && hasWhiteout(reader) ? new WhiteoutOrderException() : e;
            }
            current.leave();
        }
    }

    /** Whether the failure could come from the order: a path led nowhere, or the target of a hard link was missing. */
    private boolean mayDependOnOrder(IOException failure, EntryType type) {
        if (pass != Pass.ALL || current.layer().index() == 0) {
            return false;
        }
        if (failure instanceof ErrnoException e) {
            return e.errno() == Errno.ELOOP
                    || e.errno() == Errno.ENOTDIR
                    || e.errno() == Errno.ENOENT
                    || e.errno() == Errno.ENAMETOOLONG;
        }
        return type == EntryType.HARD_LINK;
    }

    /** Reads on to the next whiteout of the layer. */
    private static boolean hasWhiteout(TarReader reader) {
        EntryPath path = new EntryPath();
        try {
            while (reader.next()) {
                TarEntry entry = reader.entry();
                if (path.set(entry.name(), entry.nameLength()) == EntryPath.Problem.NONE
                        && Whiteout.of(path, entry.type()).removes()) {
                    return true;
                }
            }
        } catch (IOException e) {
            // the failure that led here is the one to report
        }
        return false;
    }

    private void count(TarEntry entry) throws ImageException {
        if (++entries > limits.maximumEntries()) {
            throw current.limit("maximumEntries", limits.maximumEntries(), "too many entries");
        }
        Whiteout whiteout = Whiteout.of(current.path, entry.type());
        if (entry.size() > allowance()) {
            throw current.limit("maximumSize", limits.maximumSize(), "content is too large");
        }
        if (whiteout != Whiteout.NONE || pass == Pass.WHITEOUTS) {
            ignoredBytes += entry.size();
        } else {
            stored.add(entry);
            if (allowance() < 0) {
                throw current.limit(
                        "maximumSize", limits.maximumSize(), "names, link targets and attributes are too large");
            }
        }
    }

    /** How many bytes may still be written or skipped. */
    private long allowance() {
        return limits.maximumSize() - progress.bytesWritten() - stored.counted() - ignoredBytes;
    }

    /**
     * Reads what follows the end of the archive. It is not extracted, but it belongs to the diff ID and counts for
     * maximumSize.
     */
    private void readTrailer(LayerPipeline source) throws IOException {
        long trailer = 0;
        while (source.advance()) {
            trailer += source.buffer().remaining();
            if (trailer > allowance()) {
                throw current.limit("maximumSize", limits.maximumSize(), "too large after the end of the archive");
            }
        }
    }

    /** A file that was handed over earlier may have failed since. */
    private void checkDeferred() throws ImageException {
        DeferredWrites.Failure failure = writer.deferred().failure();
        if (failure != null) {
            throw CurrentEntry.failed(failure.layer(), failure.entryPath(), failure.reason());
        }
    }

    private void apply(TarReader reader, LayerPipeline source) throws IOException {
        Whiteout whiteout = Whiteout.of(current.path, reader.entry().type());
        switch (whiteout) {
            case NONE -> {
                if (pass == Pass.WHITEOUTS) {
                    rootfs.whiteouts().collectEntry(current.path);
                } else {
                    entryApplier.apply(reader, source);
                    checkDeferred();
                    progress.wroteEntry();
                }
            }
            case METADATA -> {}
            case INVALID -> throw current.refused("whiteout without a name to remove");
            case ENTRY, OPAQUE -> {
                if (pass != Pass.ENTRIES) {
                    remove(whiteout);
                }
            }
        }
    }

    private void remove(Whiteout whiteout) throws IOException {
        whiteouts++;
        Whiteouts.Kind kind = Whiteouts.Kind.SIBLINGS;
        if (whiteout == Whiteout.ENTRY) {
            current.path.cutNamePrefix(Whiteout.PREFIX_LENGTH);
            kind = Whiteouts.Kind.ENTRY;
        }
        if (pass == Pass.WHITEOUTS) {
            rootfs.whiteouts().collect(current.path, kind);
        } else {
            rootfs.whiteouts().apply(current.path, kind);
        }
    }

    /** Ends the threads that write; what they hold open is closed when this returns. */
    @Override
    public void close() {
        writer.close();
    }
}
