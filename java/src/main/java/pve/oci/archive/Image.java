package pve.oci.archive;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.oci.Descriptor;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.oci.Platform;
import pve.oci.text.Text;

/**
 * The image that was chosen: everything but the layers' content.
 *
 * @param manifest its descriptor; of a docker archive, which has none, that of the config
 * @param referenceName the name that the archive has for it; untrusted
 * @param rawConfig the config blob as it is
 */
public record Image(
        Descriptor manifest,
        @Nullable String referenceName,
        Descriptor configDescriptor,
        Platform platform,
        ImageConfig config,
        String rawConfig,
        List<Layer> layers) {
    /** Overlay file systems stop at 128 or 500; the bound keeps the list itself small. */
    private static final int MAXIMUM_LAYERS = 4000;

    /** How many names of other images a message lists. */
    private static final int MAXIMUM_NAMED = 10;

    /** Sum of the sizes of all layers' blobs, in bytes. */
    public long layersSize() {
        long size = 0;
        for (Layer layer : layers) {
            size += layer.descriptor().size();
        }
        return size;
    }

    /**
     * One manifest of the archive under one of its names, as a list of them shows it.
     *
     * @param layersSize bytes of all layers' blobs
     */
    public record Summary(
            Descriptor manifest,
            @Nullable String referenceName,
            @Nullable Platform platform,
            long layersSize,
            int layersCount) {
        /** The interface's type ImageSummary. */
        public Map<String, @Nullable Object> toJson() {
            Map<String, @Nullable Object> json = new LinkedHashMap<>();
            json.put("manifest", manifest.toJson());
            if (platform != null) {
                json.put("platform", platform.toJson());
            }
            if (referenceName != null) {
                json.put("referenceName", referenceName);
            }
            json.put("layersSize", layersSize);
            json.put("layersCount", layersCount);
            return json;
        }

        /** For messages: "linux/amd64 named 'busybox:1'". */
        @Override
        public String toString() {
            String fullName = manifest.fullName();
            String name = fullName == null ? referenceName : fullName;
            return (platform == null ? "unknown platform" : platform)
                    + (name == null ? "" : " named '" + Text.clean(name) + "'");
        }
    }

    /** config.md: diff_ids are the layers' digests, in order from first to last. */
    static void checkLayers(Descriptor config, int layers, int diffIds) throws ImageException {
        if (layers != diffIds) {
            throw ImageException.of(ImageError.MALFORMED_IMAGE)
                    .with("blobDigest", config.digest().toString())
                    .with("jsonPointer", "/rootfs/diff_ids")
                    .message("config " + config.digest() + ": number of diff_ids is " + diffIds
                            + ", which does not match the number of layers, " + layers);
        }
        if (layers > MAXIMUM_LAYERS) {
            throw ImageException.limit("layers", MAXIMUM_LAYERS)
                    .exceeded("image has " + layers + " layers, which is too many");
        }
    }

    /** The error for a selector that nothing fits: it says what there is. */
    static ImageException noneMatches(String wanted, List<Summary> all) {
        List<Object> available = new ArrayList<>();
        Set<String> names = new LinkedHashSet<>();
        for (Summary summary : all) {
            available.add(summary.toJson());
            names.add(summary.toString());
        }
        String shown = String.join(", ", names.stream().limit(MAXIMUM_NAMED).toList())
                + (names.size() > MAXIMUM_NAMED ? ", and " + (names.size() - MAXIMUM_NAMED) + " more" : "");
        return ImageException.of(ImageError.NO_MATCHING_IMAGE)
                .with("available", available)
                .message("no image " + wanted + " in the archive"
                        + (names.isEmpty() ? ", which has none" : "; it has " + shown));
    }
}
