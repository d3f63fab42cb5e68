package pve.oci.worker;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Image;
import pve.oci.archive.Layer;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.mtree.Changes;
import pve.oci.mtree.PathSet;
import pve.oci.mtree.RecordException;
import pve.oci.mtree.TreeRecord;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.PathOpener;
import pve.oci.rootfs.Steps;
import pve.oci.text.Text;
import pve.oci.update.InPlaceUpdate;
import pve.oci.update.Phase;
import pve.oci.update.UpdateException;

/** The jobs on a root file system that holds a container's system: comparing it, and each step of an update. */
final class UpdateJob {
    /** Extracts the image that the job is about. */
    interface ImageExtractor {
        Map<String, @Nullable Object> extract(Image image, Fd root) throws IOException;
    }

    private final JobRequest request;
    private final Fd root;
    private final Steps steps;
    private final InPlaceUpdate update;

    /** @param root the root directory, open for reading; the caller closes it */
    UpdateJob(JobRequest request, Fd root, Steps steps) {
        this.request = request;
        this.root = root;
        this.steps = steps.withoutLimit();
        update = new InPlaceUpdate(root, steps);
    }

    /** Opens the root directory for reading: the descriptor of a mount is one of O_PATH. */
    static Fd reopen(Fd mount) throws IOException {
        return new PathOpener().directory(mount, new byte[0]);
    }

    Map<String, @Nullable Object> compare() throws IOException {
        requireWhole();
        Changes changes = new Changes(update.resolve(request.keep()));
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        try {
            TreeRecord.compare(root, changes, steps);
        } catch (RecordException e) {
            throw recordError(e);
        } catch (UpdateException e) {
            throw error(e);
        }
        reply.put("comparison", changes.toJson());
        reply.put("availableSize", update.availableSize());
        addState(reply);
        return reply;
    }

    /** While names are being exchanged the tree is neither the old one nor the new one. */
    private void requireWhole() throws IOException {
        try {
            Phase phase = update.phase();
            if (phase != null && phase.isBroken()) {
                throw new UpdateException(
                        UpdateException.Reason.UPDATE_PENDING,
                        "an update or a rollback was interrupted: 'pve-oci update' or 'pve-oci rollback' puts"
                                + " the tree in"
                                + " order first");
            }
        } catch (UpdateException e) {
            throw error(e);
        }
    }

    private void addState(Map<String, @Nullable Object> reply) throws IOException {
        try {
            Phase phase = update.phase();
            if (phase != null) {
                reply.put("pending", pending(phase));
            }
            reply.put("hasPrevious", update.hasPrevious());
        } catch (UpdateException e) {
            throw error(e);
        }
    }

    private static String pending(Phase phase) {
        return switch (phase) {
            case STAGED -> "staged";
            case OUT, IN, ATTRIBUTES -> "switching";
            case SWITCHED -> "switched";
            case BACK_OUT, BACK_IN, BACK_ATTRIBUTES -> "returning";
        };
    }

    Map<String, @Nullable Object> stage(Image image, ImageExtractor extractor) throws IOException {
        // without it, entries would not get the modes that the image says
        Libc.umask(0);
        try {
            settle();
            List<String> keep = keep(image);
            Changes changes = requireNoChanges(keep);
            List<String> others = new ArrayList<>(changes.mountPoints());
            others.addAll(changes.hostFiles());
            long size = estimate(image);
            update.requireSpace(size, changes.estimateEntries(size));
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            withRoom(() -> update.stage(keep, others, directory -> reply.putAll(extractor.extract(image, directory))));
            List<String> kept = new ArrayList<>(others);
            update.resolve(keep).paths().forEach(kept::add);
            List<String> shown = new ArrayList<>();
            new PathSet(kept).paths().forEach(path -> shown.add("/" + Text.name(PathSet.bytes(path))));
            reply.put("kept", shown);
            return reply;
        } catch (UpdateException e) {
            throw error(e);
        }
    }

    /** Takes back a switch that was interrupted: only a whole tree can be compared or updated. */
    private void settle() throws IOException {
        if (update.phase() == Phase.SWITCHED) {
            throw new UpdateException(
                    UpdateException.Reason.UPDATE_PENDING,
                    "the update before this one is in place, but it was not finished: finish it first");
        }
        update.abandon();
        update.requireUsable();
    }

    Map<String, @Nullable Object> compareWithImage(Image image, ImageExtractor extractor) throws IOException {
        Libc.umask(0);
        try {
            settle();
            update.requireSpace(estimate(image), 0);
            Changes changes = new Changes(update.resolve(keep(image)), madeDirectories(image));
            Map<String, @Nullable Object> reply = new LinkedHashMap<>();
            withRoom(() ->
                    update.compareWithImage(directory -> reply.putAll(extractor.extract(image, directory)), changes));
            reply.put("comparison", changes.toJson());
            return reply;
        } catch (UpdateException e) {
            throw error(e);
        }
    }

    private interface FileSystemWork {
        void run() throws IOException;
    }

    /** An image's layers may lie about their size, how many inodes they need is only an estimate, and others write. */
    private static void withRoom(FileSystemWork work) throws IOException {
        try {
            work.run();
        } catch (ImageException e) {
            throw e.parameters().get("errno") instanceof Number errno && isFull(errno.intValue()) ? full(e) : e;
        } catch (ErrnoException e) {
            throw isFull(e.errno()) ? full(e) : e;
        }
    }

    private static boolean isFull(int errno) {
        return errno == Errno.ENOSPC || errno == Errno.EDQUOT;
    }

    private static UpdateException full(Exception e) {
        return new UpdateException(
                UpdateException.Reason.NOT_ENOUGH_SPACE,
                "not enough space, inodes or quota for both images, free some and try again: " + e.getMessage());
    }

    /** Directories that a container gets although its image lacks them: its working directory and its volumes. */
    private static PathSet madeDirectories(Image image) {
        List<String> paths = volumes(image);
        Map<String, @Nullable Object> config = image.config().config();
        if (config != null && config.get("WorkingDir") instanceof String directory) {
            paths.add(bytesOf(directory));
        }
        return new PathSet(paths.stream()
                .map(path -> path.replaceAll("^/+|/+$", ""))
                .filter(path -> !path.isEmpty())
                .toList());
    }

    private static List<String> volumes(Image image) {
        List<String> paths = new ArrayList<>();
        Map<String, @Nullable Object> config = image.config().config();
        if (config != null && config.get("Volumes") instanceof Map<?, ?> volumes) {
            volumes.keySet().forEach(volume -> paths.add(bytesOf(String.valueOf(volume))));
        }
        return paths;
    }

    private static String bytesOf(String path) {
        return PathSet.text(path.getBytes(StandardCharsets.UTF_8));
    }

    /** The paths to be kept: those that were asked for, and the volumes of the image. */
    private List<String> keep(Image image) {
        List<String> paths = volumes(image);
        paths.addAll(request.keep());
        return paths;
    }

    private Changes requireNoChanges(List<String> keep) throws IOException {
        Changes changes = Changes.withoutKept(update.resolve(keep));
        try {
            TreeRecord.compare(root, changes, steps);
        } catch (RecordException e) {
            if (!request.discardsChanges()) {
                throw recordError(e);
            }
            changes = Changes.withoutKept(update.resolve(keep));
            TreeRecord.findMountPoints(root, changes, steps);
            return changes;
        }
        if (!changes.isEmpty() && !request.discardsChanges()) {
            throw ImageException.of(ImageError.ROOT_DIRECTORY_CHANGED)
                    .with("comparison", changes.toJson())
                    .message(changes.count() + " entries were changed since the image was extracted: keep them, or"
                            + " discard the changes");
        }
        return changes;
    }

    /** Sum of the uncompressed sizes that the layers state; 0 if one of them states none. */
    private static long estimate(Image image) throws IOException {
        long total = 0;
        for (Layer layer : image.layers()) {
            if (!(LayerDescription.of(layer).get("uncompressedSize") instanceof Long size)) {
                return 0;
            }
            total += size;
        }
        return total;
    }

    Map<String, @Nullable Object> apply() throws IOException {
        Map<String, @Nullable Object> reply = new LinkedHashMap<>();
        try {
            withRoom(this::runStep);
            addState(reply);
            reply.put("hasRemains", update.hasRemains());
        } catch (UpdateException e) {
            throw error(e);
        }
        return reply;
    }

    private void runStep() throws IOException {
        switch (request.step()) {
            case "switch" -> update.commit();
            case "finish" -> update.finish();
            case "abandon" -> update.abandon();
            case "reopen" -> update.reopen();
            case "rollBack" -> update.rollBack();
            case "forget" -> update.forget();
            case "record" -> update.record();
            default -> throw new IllegalArgumentException(request.step());
        }
    }

    private static ImageException error(UpdateException e) {
        ImageError error = switch (e.reason()) {
            case UPDATE_PENDING -> ImageError.UPDATE_PENDING;
            case UPDATE_CONFLICT -> ImageError.UPDATE_CONFLICT;
            case NOTHING_TO_ROLL_BACK -> ImageError.NOTHING_TO_ROLL_BACK;
            case NOT_ENOUGH_SPACE -> ImageError.NOT_ENOUGH_SPACE;
        };
        return ImageException.of(error).cause(e).message(String.valueOf(e.getMessage()));
    }

    private static ImageException recordError(RecordException e) {
        return ImageException.of(e.isMissing() ? ImageError.NO_RECORD : ImageError.RECORD_DAMAGED)
                .cause(e)
                .message(String.valueOf(e.getMessage()));
    }
}
