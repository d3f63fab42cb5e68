package pve.oci.worker;

import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Image;
import pve.oci.archive.ImageArchive;
import pve.oci.archive.Layer;
import pve.oci.layer.LayerPipeline;
import pve.oci.layer.Progress;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.RootfsNotEmptyException;
import pve.oci.rootfs.Steps;
import pve.oci.text.Text;

/** Runs one job from its request to the reply's parameters. The worker and the embedded engine both end here. */
public final class JobRunner {
    /** Errors that are not about the archive. */
    private static final Set<ImageError> ABOUT_ROOT = EnumSet.of(
            ImageError.NO_RECORD,
            ImageError.RECORD_DAMAGED,
            ImageError.ROOT_DIRECTORY_CHANGED,
            ImageError.UPDATE_PENDING,
            ImageError.UPDATE_CONFLICT,
            ImageError.NOTHING_TO_ROLL_BACK,
            ImageError.NOT_ENOUGH_SPACE);

    private final JobRequest request;
    private final Consumer<Map<String, @Nullable Object>> listener;
    private final Progress progress = new Progress();
    private final Steps steps;

    /** @param listener gets the interface's events, except for progress */
    public JobRunner(JobRequest request, Consumer<Map<String, @Nullable Object>> listener) {
        this.request = request;
        this.listener = listener;
        steps = new Steps(request.limits().maximumSteps());
    }

    /** Where the job stands; may be read by any thread. */
    public Progress progress() {
        return progress;
    }

    /**
     * Whether the job is doing work that is not counted: it opens the archive, which other limits bound, or it waits
     * until the disk has written the trees of an update.
     */
    public boolean isUncounted() {
        return switch (request.action()) {
            case CLEAN, COMPARE -> false;
            default -> progress.isParsing();
        };
    }

    /** Grows while the job works, whether or not {@link #progress} changes. */
    public long workDone() {
        return progress.bytesRead() + progress.entriesWritten() + progress.bytesWritten() + steps.done();
    }

    /**
     * Runs the job and closes both descriptors.
     *
     * @param archive null for methods without an archive
     * @param root the root directory; null for methods without one
     * @return parameters of the interface's reply
     * @throws ImageException for every failure; the message begins with the archive's name if it is about the archive
     */
    public Map<String, @Nullable Object> run(@Nullable Fd archive, @Nullable Fd root) throws ImageException {
        try {
            return switch (request.action()) {
                case DETECT -> detect(require(archive));
                case INSPECT -> inspect(require(archive));
                case VERIFY -> verify(require(archive));
                case EXTRACT -> extract(require(archive), require(root));
                case COMPARE -> compare(require(root));
                case COMPARE_IMAGE -> compareWithImage(require(archive), require(root));
                case STAGE -> stage(require(archive), require(root));
                case APPLY -> apply(require(root));
                case CLEAN -> clean(require(root));
            };
        } catch (ImageException e) {
            throw ABOUT_ROOT.contains(e.error()) ? e : e.in(Text.clean(request.archiveName()));
        } catch (ErrnoException e) {
            throw systemError(e).in(Text.clean(request.archiveName()));
        } catch (IOException e) {
            throw ImageException.of(ImageError.MALFORMED_ARCHIVE)
                    .cause(e)
                    .message(Text.clean(String.valueOf(e.getMessage())))
                    .in(Text.clean(request.archiveName()));
        } catch (OutOfMemoryError e) {
            throw ImageException.limit("memory", Runtime.getRuntime().maxMemory())
                    .cause(e)
                    .exceeded(
                            request.action() == JobRequest.Action.COMPARE
                                    ? "a directory has so many names that they need too much memory"
                                    : "image needs too much memory")
                    .in(Text.clean(request.archiveName()));
        } finally {
            close(archive);
            close(root);
        }
    }

    private static ImageException systemError(ErrnoException e) {
        return ImageException.of(ImageError.SYSTEM_ERROR)
                .withAll(e.parameters())
                .cause(e)
                .message(String.valueOf(e.getMessage()));
    }

    private ImageArchive openImage(Fd archive) throws IOException {
        return ImageArchive.open(archive, request.jsonLimits(), request.limits().zstdWindowLog());
    }

    private static Fd require(@Nullable Fd fd) {
        if (fd == null) {
            throw new IllegalArgumentException("a file descriptor is missing");
        }
        return fd;
    }

    private static void close(@Nullable Fd fd) {
        if (fd != null) {
            fd.close();
        }
    }

    private Map<String, @Nullable Object> detect(Fd archive) throws IOException {
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        ImageArchive.Format format = ImageArchive.Format.UNKNOWN;
        try (ImageArchive open = openImage(archive)) {
            format = open.format();
            String version = format == ImageArchive.Format.OCI_ARCHIVE ? open.layoutVersion() : null;
            if (version != null) {
                reply.put("layoutVersion", version);
            }
        } catch (ImageException e) {
            // a malformed archive is no image; any other failure to read it is an error
            if (e.error() != ImageError.MALFORMED_ARCHIVE && e.error() != ImageError.MALFORMED_IMAGE) {
                throw e;
            }
        }
        reply.put("format", format.toString());
        return reply;
    }

    private Map<String, @Nullable Object> inspect(Fd archive) throws IOException {
        try (ImageArchive open = openImage(archive)) {
            var images = open.images();
            Image image = images.select(request.selector());
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            List<Object> summaries = new ArrayList<>();
            images.list().forEach(summary -> summaries.add(summary.toJson()));
            reply.put("images", summaries);
            reply.put("manifest", image.manifest().toJson());
            reply.put("platform", image.platform().toJson());
            List<Object> layers = new ArrayList<>();
            long total = 0;
            for (Layer layer : image.layers()) {
                Map<String, @Nullable Object> json = LayerDescription.of(layer);
                total = json.get("uncompressedSize") instanceof Long size && total >= 0 ? total + size : -1;
                layers.add(json);
            }
            if (total >= 0) {
                reply.put("uncompressedSize", total);
            }
            reply.put("layers", layers);
            reply.put("config", config(image));
            reply.put("rawConfig", image.rawConfig());
            return reply;
        }
    }

    private static Map<String, @Nullable Object> config(Image image) {
        Map<String, @Nullable Object> config = image.config().config();
        return config == null ? Map.of() : config;
    }

    private void begin(Progress.JobPhase phase, Image image) {
        progress.begin(phase, image.layers().size(), image.layersSize());
    }

    private Map<String, @Nullable Object> verify(Fd archive) throws IOException {
        try (ImageArchive open = openImage(archive)) {
            Image image = open.images().select(request.selector());
            List<Layer> layers = image.layers();
            begin(Progress.JobPhase.VERIFYING, image);
            List<Object> verified = new ArrayList<>();
            verified.add(image.manifest().toJson());
            verified.add(image.configDescriptor().toJson());
            int cores = LayerPipeline.cores(image.layersSize());
            try (LayerPipeline pipeline =
                    new LayerPipeline(layers, request.limits(), progress, open.isStream(), cores)) {
                for (Layer layer : layers) {
                    progress.layer(layer.index());
                    pipeline.beginLayer();
                    pipeline.skip();
                    pipeline.verifyContent(layer);
                    verified.add(layer.descriptor().toJson());
                }
            }
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            reply.put("progress", progress.toJson());
            reply.put("verified", verified);
            return reply;
        }
    }

    private Map<String, @Nullable Object> extract(Fd archive, Fd root) throws IOException {
        // without it, entries would not get the modes that the image says
        Libc.umask(0);
        try (Rootfs rootfs = open(root)) {
            // sent before the first byte of the image is read, so no image can have taken this process over yet
            listener.accept(Map.of("existing", rootfs.existing().toJson()));
            try (ImageArchive open = openImage(archive)) {
                return extract(open, select(open), rootfs);
            }
        }
    }

    /**
     * Chooses the image of the job and sends its configuration at once: the caller may have no use for such an image.
     */
    private Image select(ImageArchive open) throws IOException {
        Image image = open.images().select(request.selector());
        listener.accept(Map.of("config", config(image)));
        return image;
    }

    private Map<String, @Nullable Object> extract(ImageArchive open, Image image, Rootfs rootfs) throws IOException {
        begin(Progress.JobPhase.EXTRACTING, image);
        Map<String, @Nullable Object> result = new LinkedHashMap<>();
        result.put("manifestDigest", image.manifest().digest().toString());
        result.put("configDigest", image.configDescriptor().digest().toString());
        result.put("platform", image.platform().toJson());
        result.put("referenceName", image.referenceName());
        result.putAll(new Extraction(request, rootfs, image, open.isStream(), progress).run());
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        reply.put("progress", progress.toJson());
        reply.put("result", result);
        reply.put("config", config(image));
        return reply;
    }

    private Map<String, @Nullable Object> compare(Fd mount) throws IOException {
        try (Fd root = UpdateJob.reopen(mount)) {
            return new UpdateJob(request, root, steps).compare();
        }
    }

    private Map<String, @Nullable Object> stage(Fd archive, Fd mount) throws IOException {
        try (Fd root = UpdateJob.reopen(mount);
                ImageArchive open = openImage(archive)) {
            return new UpdateJob(request, root, steps).stage(select(open), extractor(open));
        }
    }

    private Map<String, @Nullable Object> compareWithImage(Fd archive, Fd mount) throws IOException {
        try (Fd root = UpdateJob.reopen(mount);
                ImageArchive open = openImage(archive)) {
            return new UpdateJob(request, root, steps).compareWithImage(select(open), extractor(open));
        }
    }

    private UpdateJob.ImageExtractor extractor(ImageArchive open) {
        return (which, directory) -> {
            try (Rootfs rootfs = open(directory)) {
                return extract(open, which, rootfs);
            }
        };
    }

    private Map<String, @Nullable Object> apply(Fd mount) throws IOException {
        try (Fd root = UpdateJob.reopen(mount)) {
            return new UpdateJob(request, root, steps).apply();
        }
    }

    private Rootfs open(Fd root) throws IOException {
        try {
            return new Rootfs(root, steps);
        } catch (RootfsNotEmptyException e) {
            throw ImageException.of(ImageError.ROOT_DIRECTORY_NOT_EMPTY)
                    .cause(e)
                    .message("root directory is not empty: " + e.reason());
        }
    }

    private Map<String, @Nullable Object> clean(Fd root) throws IOException {
        try (Rootfs rootfs = Rootfs.abandoned(root, request.existing(), steps)) {
            rootfs.undo();
        }
        return Map.of();
    }
}
