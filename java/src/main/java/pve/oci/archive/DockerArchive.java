package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimits;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.DockerManifest;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.ImageException;
import pve.oci.oci.Platform;
import pve.oci.text.Text;

/**
 * The images of an archive of {@code docker save} without an image layout. It has no descriptors: the config's digest is
 * in its file name or nowhere, and layers are verified by their diff IDs alone.
 */
final class DockerArchive implements ImageSource {
    private static final String CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
    private static final String LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar";

    private final ImageFiles files;
    private final Documents documents;

    DockerArchive(ImageFiles files, JsonLimits limits) {
        this.files = files;
        documents = new Documents(files, limits);
    }

    @Override
    public List<Image.Summary> list() throws IOException {
        List<Image.Summary> summaries = new ArrayList<>();
        for (DockerManifest.Entry entry : manifest().images()) {
            Image image = load(entry);
            long size = image.layers().stream()
                    .mapToLong(x -> x.descriptor().size())
                    .sum();
            summaries.add(new Image.Summary(
                    image.manifest(), image.platform(), size, image.layers().size()));
        }
        return summaries;
    }

    private DockerManifest manifest() throws IOException {
        return documents.parse("manifest.json", DockerManifest::parse);
    }

    @Override
    public Image select(Selector selector) throws IOException {
        for (DockerManifest.Entry entry : manifest().images()) {
            String name = selector.referenceName();
            if (name == null || entry.repoTags().contains(name)) {
                Image image = load(entry);
                boolean isWanted = selector.manifestDigest() == null
                        ? selector.fitsArchitecture(image.platform())
                        : image.manifest().digest().toString().equals(selector.manifestDigest());
                if (isWanted) {
                    return image;
                }
            }
        }
        List<Object> available = new ArrayList<>();
        list().forEach(summary -> available.add(Summaries.toJson(summary)));
        throw ImageException.of("NoMatchingImage")
                .with("available", available)
                .message("no image for " + selector + " in the docker archive");
    }

    private Image load(DockerManifest.Entry entry) throws IOException {
        byte[] json = readConfig(entry.config());
        Digest digest = Documents.digest(json, "sha256");
        checkName(entry.config(), digest);
        Map<String, String> annotations = new LinkedHashMap<>();
        if (!entry.repoTags().isEmpty()) {
            annotations.put(
                    "org.opencontainers.image.ref.name", entry.repoTags().get(0));
        }
        Descriptor descriptor = new Descriptor(CONFIG_TYPE, digest, json.length, annotations, null);
        ImageConfig config = documents.parse(json, descriptor, "config", ImageConfig::parse);
        Platform platform = config.platform();
        Layers.check(descriptor, entry.layers().size(), config.diffIds().size());
        List<Layer> layers = new ArrayList<>();
        for (int i = 0; i < entry.layers().size(); i++) {
            layers.add(layer(i, entry.layers(), config.diffIds().get(i)));
        }
        return new Image(
                descriptor,
                descriptor,
                platform == null ? new Platform(Platform.hostArchitecture(), "linux", null) : platform,
                config,
                new String(json, StandardCharsets.UTF_8),
                layers);
    }

    private byte[] readConfig(String name) throws IOException {
        Long size = files.size(name);
        if (size == null) {
            throw missing(name);
        }
        return documents.read(name, size, "config");
    }

    /** "HEX.json" before docker 25, "blobs/sha256/HEX" since. */
    private static void checkName(String name, Digest digest) throws ImageException {
        String base = name.substring(name.lastIndexOf('/') + 1);
        String hex = base.endsWith(".json") ? base.substring(0, base.length() - 5) : base;
        if (hex.length() == 64 && !hex.equals(digest.encoded())) {
            throw ImageException.of("DigestMismatch")
                    .with("blobDigest", "sha256:" + Text.clean(hex))
                    .with("actualDigest", digest.toString())
                    .with("checked", "blob")
                    .message("config " + Text.name(name) + " has the digest " + digest
                            + ", which does not match its name");
        }
    }

    private Layer layer(int index, List<String> names, Digest diffId) throws IOException {
        String name = names.get(index);
        @Nullable Long size = files.size(name);
        if (size == null) {
            throw missing(name);
        }
        return new Layer(
                index,
                names.size(),
                new Descriptor(LAYER_TYPE, diffId, size, Map.of(), null),
                diffId,
                () -> files.open(name));
    }

    private static ImageException missing(String name) {
        return ImageException.of("MalformedImage")
                .message("docker archive: manifest.json names the file '" + Text.name(name) + "', which is missing");
    }
}
