package pve.oci.archive;

import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.oci.Descriptor;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.Platform;

/**
 * The image that was chosen: everything but the layers' content.
 *
 * @param manifest its descriptor; of a docker archive, which has none, that of the config
 * @param rawConfig the config blob as it is
 */
public record Image(
        Descriptor manifest,
        Descriptor configDescriptor,
        Platform platform,
        ImageConfig config,
        String rawConfig,
        List<Layer> layers) {
    /**
     * One manifest of the archive, as a list of them shows it.
     *
     * @param layersSize bytes of all layers' blobs
     */
    public record Summary(Descriptor manifest, @Nullable Platform platform, long layersSize, int layersCount) {}
}
