package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimits;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.DockerManifest;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.oci.Platform;
import pve.oci.text.Text;

/**
 * The images of an archive as {@code docker save} writes it, without an image layout. It has no descriptors: the
 * config's digest is in its file name or nowhere. Layers may be compressed with gzip or zstd, and are verified by their
 * diff IDs alone, because nothing in the archive says what the digest of a compressed layer is.
 */
final class DockerArchive implements ImageSource {
    private static final String CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
    private static final String LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar";

    private final ImageFiles files;
    private final DocumentReader documents;

    DockerArchive(ImageFiles files, JsonLimits limits) {
        this.files = files;
        documents = new DocumentReader(files, limits);
    }

    @Override
    public List<Image.Summary> list() throws IOException {
        List<Image.Summary> summaries = new ArrayList<>();
        for (DockerManifest.DockerImage entry : manifest().images()) {
            Image image;
            try {
                image = load(entry, null);
            } catch (ImageException e) {
                // an image that cannot be read must not hide the others; if it is chosen, the error says why
                continue;
            }
            int count = image.layers().size();
            for (@Nullable String name : entry.names()) {
                summaries.add(new Image.Summary(image.manifest(), name, image.platform(), image.layersSize(), count));
            }
        }
        return summaries;
    }

    private DockerManifest manifest() throws IOException {
        return documents.parse("manifest.json", DockerManifest::parse);
    }

    @Override
    public Image select(Selector selector) throws IOException {
        boolean isByDigest = selector.manifestDigest() != null;
        for (DockerManifest.DockerImage entry : manifest().images()) {
            for (@Nullable String name : entry.names()) {
                if (isByDigest || selector.fitsName(name)) {
                    Image image = load(entry, name);
                    boolean isWanted = isByDigest
                            ? image.manifest().digest().toString().equals(selector.manifestDigest())
                            : selector.fitsArchitecture(image.platform());
                    if (isWanted) {
                        return image;
                    }
                }
            }
        }
        throw Image.noneMatches("for " + selector, list());
    }

    private Image load(DockerManifest.DockerImage entry, @Nullable String name) throws IOException {
        byte[] json = readConfig(entry.config());
        Digest digest = DocumentReader.digest(json, "sha256");
        checkName(entry.config(), digest);
        Map<String, String> annotations = name == null ? Map.of() : Map.of(Descriptor.REFERENCE_NAME, name);
        Descriptor descriptor = new Descriptor(CONFIG_TYPE, digest, json.length, annotations, null);
        ImageConfig config = documents.parse(json, descriptor, "config", ImageConfig::parse);
        Platform platform = config.platform();
        Image.checkLayers(descriptor, entry.layers().size(), config.diffIds().size());
        List<Layer> layers = new ArrayList<>();
        for (int i = 0; i < entry.layers().size(); i++) {
            layers.add(layer(i, entry.layers(), config.diffIds().get(i)));
        }
        return new Image(
                descriptor,
                name,
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
            throw ImageException.of(ImageError.DIGEST_MISMATCH)
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
        Descriptor descriptor = new Descriptor(LAYER_TYPE, diffId, size, Map.of(), null);
        return new Layer(index, names.size(), descriptor, diffId, false, () -> files.open(name));
    }

    private ImageException missing(String name) throws IOException {
        String other = files.otherType(name);
        return ImageException.of(ImageError.MALFORMED_IMAGE)
                .message("docker archive: manifest.json names the file '" + Text.name(name) + "', which is missing"
                        + (other == null ? "" : ": it is " + other));
    }
}
