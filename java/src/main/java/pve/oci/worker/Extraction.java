package pve.oci.worker;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Image;
import pve.oci.archive.Layer;
import pve.oci.layer.LayerApplier;
import pve.oci.layer.LayerApplier.Pass;
import pve.oci.layer.LayerPipeline;
import pve.oci.layer.Progress;
import pve.oci.mtree.TreeRecord;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.WhiteoutOrderException;

/** Applies all layers of one image to a root file system. A failure leaves the root directory as it was. */
final class Extraction {
    private final JobRequest request;
    private final Rootfs rootfs;
    private final Image image;
    private final boolean isStream;
    private final Progress progress;

    /** One reading of a layer, and what is done with its entries. */
    private record LayerStep(Layer layer, Pass pass) {}

    /** @param isStream the archive can only be read from front to end */
    Extraction(JobRequest request, Rootfs rootfs, Image image, boolean isStream, Progress progress) {
        this.request = request;
        this.rootfs = rootfs;
        this.image = image;
        this.isStream = isStream;
        this.progress = progress;
    }

    /** Extracts, and returns what the interface's type ExtractResult says of the layers. */
    Map<String, @Nullable Object> run() throws IOException {
        try {
            return apply(steps(Pass.ALL));
        } catch (WhiteoutOrderException e) {
            // the files of the first attempt have been removed already
            List<LayerStep> steps = steps(Pass.WHITEOUTS, Pass.ENTRIES);
            progress.restart(
                    steps.stream().mapToLong(x -> x.layer().descriptor().size()).sum());
            return apply(steps);
        }
    }

    /** Every layer is read as often as there are passes. Few images need more than one. */
    private List<LayerStep> steps(Pass... passes) {
        List<LayerStep> steps = new ArrayList<>();
        for (Layer layer : image.layers()) {
            for (Pass pass : passes) {
                steps.add(new LayerStep(layer, pass));
            }
        }
        return steps;
    }

    private Map<String, @Nullable Object> apply(List<LayerStep> steps) throws IOException {
        int cores = LayerPipeline.cores(image.layersSize());
        LayerApplier applier = new LayerApplier(
                rootfs, request.uids(), request.gids(), request.isPrivileged(), request.limits(), progress, cores);
        try {
            apply(steps, applier, cores);
            progress.phase(Progress.JobPhase.FINISHING);
            if (request.writesRecord()) {
                TreeRecord.write(rootfs.directory(), rootfs.steps().withoutLimit());
            }
            return result(applier);
        } catch (WhiteoutOrderException e) {
            rootfs.undo();
            throw e;
        } catch (IOException | RuntimeException | Error e) {
            undoAfter(e);
            throw e;
        }
    }

    private void apply(List<LayerStep> steps, LayerApplier applier, int cores) throws IOException {
        List<Layer> layers = steps.stream().map(LayerStep::layer).toList();
        try (LayerPipeline pipeline = new LayerPipeline(layers, request.limits(), progress, isStream, cores);
                // closed before the pipeline, because its threads may still write from the pipeline's memory
                applier) {
            for (LayerStep step : steps) {
                try {
                    applier.apply(step.layer(), pipeline, step.pass());
                } catch (ImageException e) {
                    throw preferDigest(e, step.layer(), pipeline);
                }
                pipeline.verifyContent(step.layer());
            }
        }
    }

    /** If the digest of the failed layer is wrong too, that is the better error: it explains the malformed content. */
    private static IOException preferDigest(ImageException failure, Layer layer, LayerPipeline pipeline) {
        if (failure.error() != ImageError.MALFORMED_ARCHIVE && failure.error() != ImageError.REFUSED_ENTRY) {
            return failure;
        }
        try {
            pipeline.skip();
            pipeline.verifyContent(layer);
        } catch (ImageException e) {
            return e.error() == ImageError.DIGEST_MISMATCH ? e : failure;
        } catch (IOException | IllegalStateException e) {
            return failure;
        }
        return failure;
    }

    /** Undoes the extraction. If that fails too, its exception is added to the first one as suppressed. */
    private void undoAfter(Throwable failure) {
        try {
            rootfs.undo();
        } catch (IOException | RuntimeException e) {
            failure.addSuppressed(e);
        }
    }

    private Map<String, @Nullable Object> result(LayerApplier applier) {
        Map<String, @Nullable Object> result = new LinkedHashMap<>();
        result.put("entriesWritten", progress.entriesWritten());
        result.put("bytesWritten", progress.bytesWritten());
        result.put("whiteoutsApplied", applier.whiteouts());
        result.put("warnings", applier.warnings().listed());
        result.put("warningsCount", applier.warnings().count());
        return result;
    }
}
