package pve.oci.oci;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/**
 * The {@code manifest.json} of {@code docker save} (moby image/tarexport): an array of images, each with the file name
 * of its config, its names, and the file names of its layers.
 */
public record DockerManifest(List<DockerImage> images) {
    /** One image. Names are the archive's, untrusted. */
    public record DockerImage(String config, List<String> repoTags, List<String> layers) {
        /** The image's names; null for one that has none. */
        public List<@Nullable String> names() {
            return repoTags.isEmpty() ? Collections.singletonList(null) : Collections.unmodifiableList(repoTags);
        }
    }

    /** Parses the document. */
    public static DockerManifest parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        Object parsed;
        try {
            parsed = Json.parse(json, limits);
        } catch (JsonLimitException e) {
            throw e;
        } catch (JsonFormatException e) {
            throw new ImageFormatException("", Text.clean(String.valueOf(e.getMessage())));
        }
        if (!(parsed instanceof List<?> list)) {
            throw new ImageFormatException("", "docker manifest is not an array");
        }
        List<DockerImage> images = new ArrayList<>();
        for (Object item : list) {
            if (!(item instanceof Map<?, ?> map)) {
                throw new ImageFormatException("/" + images.size(), "docker manifest is not an array of objects");
            }
            Document image = Document.of(Json.asObject(map), "/" + images.size());
            images.add(new DockerImage(
                    fileName(image.string("Config"), image.pointer("Config")),
                    image.strings("RepoTags"),
                    fileNames(image)));
        }
        return new DockerManifest(List.copyOf(images));
    }

    private static List<String> fileNames(Document image) throws ImageFormatException {
        List<String> names = image.strings("Layers");
        for (int i = 0; i < names.size(); i++) {
            fileName(names.get(i), image.pointer("Layers") + "/" + i);
        }
        return names;
    }

    private static String fileName(String name, String pointer) throws ImageFormatException {
        if (name.isEmpty()) {
            throw new ImageFormatException(pointer, "docker manifest has an empty string instead of a file name");
        }
        return name;
    }
}
