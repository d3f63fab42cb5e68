package pve.oci.archive;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimits;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.oci.Index;
import pve.oci.oci.LayoutVersion;
import pve.oci.oci.Manifest;
import pve.oci.oci.MediaType;
import pve.oci.oci.Platform;

/** The images of an image layout (image-layout.md): from index.json through nested indexes to one manifest. */
final class OciLayout implements ImageSource {
    private static final int MAXIMUM_DEPTH = 8;

    /** How many descriptors are looked at in all indexes together. */
    private static final int MAXIMUM_DESCRIPTORS = 10_000;

    /** How many manifests are read for a list. */
    private static final int MAXIMUM_LISTED = 100;

    private final ImageFiles files;
    private final DocumentReader documents;

    OciLayout(ImageFiles files, JsonLimits limits) {
        this.files = files;
        documents = new DocumentReader(files, limits);
    }

    /** The imageLayoutVersion. Without the file it is no layout. */
    String version() throws IOException {
        return documents.parse("oci-layout", LayoutVersion::parse).version();
    }

    @Override
    public List<Image.Summary> list() throws IOException {
        List<Image.Summary> summaries = new ArrayList<>();
        for (Candidate candidate : manifests(null)) {
            if (summaries.size() < MAXIMUM_LISTED) {
                summaries.add(summarize(candidate.descriptor(), candidate.name()));
            }
        }
        return summaries;
    }

    private Image.Summary summarize(Descriptor descriptor, @Nullable String name) {
        try {
            Manifest manifest = manifest(descriptor);
            Platform platform = descriptor.platform();
            if (platform == null) {
                platform = config(manifest).platform();
            }
            long size = manifest.layers().stream().mapToLong(Descriptor::size).sum();
            return new Image.Summary(
                    descriptor, name, platform, size, manifest.layers().size());
        } catch (IOException e) {
            // a manifest that cannot be read must not hide the others; if it is chosen, the error says why
            return new Image.Summary(descriptor, name, descriptor.platform(), 0, 0);
        }
    }

    /** Manifests of the index and of nested ones, in their order, each once for each of its names. */
    private List<Candidate> manifests(@Nullable Selector selector) throws IOException {
        version();
        Collector collector = new Collector();
        Index index = documents.parse("index.json", Index::parse);
        for (Descriptor descriptor : index.manifests()) {
            if (selector == null || selector.manifestDigest() != null || selector.fitsName(descriptor)) {
                collector.add(new Candidate(descriptor, descriptor.referenceName()), 1);
            }
        }
        return collector.found;
    }

    /** A manifest and its name; a manifest without one takes the name of the index that lists it. */
    private record Candidate(
            Descriptor descriptor, @Nullable String name) {}

    private final class Collector {
        final List<Candidate> found = new ArrayList<>();
        private final Set<String> seen = new HashSet<>();

        void add(Candidate candidate, int depth) throws IOException {
            Descriptor descriptor = candidate.descriptor();
            // an index is read once, whatever its names, so that nesting cannot multiply the work
            boolean isIndex = descriptor.role() == MediaType.Role.INDEX;
            if (!seen.add(isIndex ? descriptor.digest().toString() : descriptor.digest() + " " + candidate.name())) {
                return;
            }
            if (seen.size() > MAXIMUM_DESCRIPTORS) {
                throw limit("indexEntries", MAXIMUM_DESCRIPTORS, "too many descriptors in its indexes");
            }
            if (isIndex) {
                if (depth > MAXIMUM_DEPTH) {
                    throw limit("indexDepth", MAXIMUM_DEPTH, "indexes nested too deep");
                }
                byte[] json = documents.read(descriptor, "index");
                for (Descriptor nested :
                        documents.parse(json, descriptor, "index", Index::parse).manifests()) {
                    String own = nested.referenceName();
                    add(new Candidate(nested, own == null ? candidate.name() : own), depth + 1);
                }
            } else if (descriptor.role() == MediaType.Role.SCHEMA1) {
                throw ImageException.of(ImageError.UNSUPPORTED_MEDIA_TYPE)
                        .with("blobDigest", descriptor.digest().toString())
                        .with("mediaType", descriptor.mediaType())
                        .message("manifest " + descriptor.digest()
                                + ": unsupported media type, docker image manifest schema 1");
            } else if (descriptor.role() == MediaType.Role.MANIFEST && !descriptor.isAttestation()) {
                found.add(candidate);
            }
        }
    }

    private static ImageException limit(String name, int maximum, String what) {
        return ImageException.limit(name, maximum).exceeded("archive has " + what);
    }

    @Override
    public Image select(Selector selector) throws IOException {
        List<Candidate> candidates = manifests(selector);
        if (selector.manifestDigest() != null) {
            Digest wanted = wantedDigest(selector.manifestDigest());
            for (Candidate candidate : candidates) {
                if (candidate.descriptor().digest().equals(wanted)) {
                    return load(candidate, selector, false);
                }
            }
            throw Image.noneMatches("with the manifest " + wanted, list());
        }
        Candidate chosen = choose(candidates, selector);
        if (chosen == null) {
            throw Image.noneMatches("for " + selector, list());
        }
        return load(chosen, selector, true);
    }

    private static Digest wantedDigest(String text) throws ImageException {
        try {
            return Digest.parse(text, "");
        } catch (IOException e) {
            throw ImageException.of(ImageError.NO_MATCHING_IMAGE)
                    .with("available", List.of())
                    .cause(e)
                    .message(String.valueOf(e.getMessage()));
        }
    }

    /**
     * Chooses the first that fits. A plain variant comes before others, and one that does not state its platform comes
     * last.
     */
    private @Nullable Candidate choose(List<Candidate> candidates, Selector selector) throws IOException {
        Candidate other = null;
        Candidate silent = null;
        ImageException noImage = null;
        for (Candidate candidate : candidates) {
            Descriptor descriptor = candidate.descriptor();
            Platform platform = descriptor.platform();
            if (platform == null) {
                // image-index.md: platform is optional; then the config tells
                try {
                    platform = config(manifest(descriptor)).platform();
                } catch (ImageException e) {
                    if (e.error() != ImageError.MALFORMED_IMAGE) {
                        throw e;
                    }
                    // an artifact may stand beside the image
                    noImage = noImage == null ? e : noImage;
                    continue;
                }
            }
            if (platform == null) {
                silent = silent == null ? candidate : silent;
            } else if (selector.fitsArchitecture(platform)) {
                if (selector.isPlain(platform)) {
                    return candidate;
                }
                other = other == null ? candidate : other;
            }
        }
        if (other == null && silent == null && noImage != null) {
            throw noImage;
        }
        return other != null ? other : silent;
    }

    private Manifest manifest(Descriptor descriptor) throws IOException {
        return documents.parse(documents.read(descriptor, "manifest"), descriptor, "manifest", Manifest::parse);
    }

    private ImageConfig config(Manifest manifest) throws IOException {
        Descriptor descriptor = manifest.config();
        return documents.parse(documents.read(descriptor, "config"), descriptor, "config", ImageConfig::parse);
    }

    private Image load(Candidate candidate, Selector selector, boolean checksPlatform) throws IOException {
        Descriptor descriptor = candidate.descriptor();
        Manifest manifest = manifest(descriptor);
        byte[] json = documents.read(manifest.config(), "config");
        ImageConfig config = documents.parse(json, manifest.config(), "config", ImageConfig::parse);
        Platform platform = platform(descriptor, manifest, config, selector);
        if (checksPlatform && !selector.fitsArchitecture(platform)) {
            throw Image.noneMatches("for " + selector, list());
        }
        List<Layer> layers = new ArrayList<>();
        Image.checkLayers(
                manifest.config(), manifest.layers().size(), config.diffIds().size());
        for (int i = 0; i < manifest.layers().size(); i++) {
            Descriptor blob = manifest.layers().get(i);
            Layer layer = new Layer(
                    i,
                    manifest.layers().size(),
                    blob,
                    config.diffIds().get(i),
                    () -> files.open(blob.digest().blobPath()));
            if (files.size(blob.digest().blobPath()) == null) {
                throw documents.missing(blob.digest(), layer.toString());
            }
            layers.add(layer);
        }
        return new Image(
                descriptor,
                candidate.name(),
                manifest.config(),
                platform,
                config,
                new String(json, StandardCharsets.UTF_8),
                layers);
    }

    /** The platform of the image. Index and config must agree on it (image-index.md, config.md). */
    private static Platform platform(Descriptor descriptor, Manifest manifest, ImageConfig config, Selector selector)
            throws ImageException {
        Platform claimed = descriptor.platform();
        Platform actual = config.platform();
        if (claimed == null || actual == null) {
            Platform known = claimed == null ? actual : claimed;
            return known == null ? new Platform(selector.architecture(), "linux", null) : known;
        }
        if (!claimed.architecture().equals(actual.architecture())
                || !claimed.os().equals(actual.os())) {
            throw ImageException.of(ImageError.MALFORMED_IMAGE)
                    .with("blobDigest", manifest.config().digest().toString())
                    .with("jsonPointer", "/architecture")
                    .message("config " + manifest.config().digest() + ": architecture " + actual
                            + " contradicts the index, which says platform " + claimed);
        }
        return claimed;
    }
}
