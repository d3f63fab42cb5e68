package pve.oci.oci;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/** An image manifest (manifest.md): the descriptor of the config and those of the layers in order of application. */
public record Manifest(Descriptor config, List<Descriptor> layers) {
    /** Parses the document and checks that it is the manifest of an image, not of another artifact. */
    public static Manifest parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        Document document = Document.parse(json, limits);
        refuseOther(document, MediaType.Role.MANIFEST, List.of("manifests", "fsLayers"));
        if (!document.has("config")) {
            throw new ImageFormatException("/config", "manifest without config");
        }
        Descriptor config = Descriptor.of(document.object("config"));
        if (config.role() != MediaType.Role.CONFIG) {
            throw new ImageFormatException(
                    "/config/mediaType", "not an image: config is of type '" + Text.clean(config.mediaType()) + "'");
        }
        if (!document.has("layers")) {
            throw new ImageFormatException("/layers", "manifest without layers");
        }
        List<Descriptor> layers = new ArrayList<>();
        for (Document item : document.objects("layers")) {
            Descriptor layer = Descriptor.of(item);
            if (layer.role() != MediaType.Role.LAYER) {
                throw new ImageFormatException(
                        item.pointer("mediaType"),
                        "unsupported layer media type '" + Text.clean(layer.mediaType()) + "'");
            }
            layers.add(layer);
        }
        return new Manifest(config, List.copyOf(layers));
    }

    /**
     * Refuses a document that can be read as something else (CVE-2021-41190): its own mediaType must be of the role
     * that the descriptor gave it, and it must not have another document's members.
     */
    static void refuseOther(Document document, MediaType.Role role, List<String> foreign) throws ImageFormatException {
        @Nullable String mediaType = document.optionalString("mediaType");
        if (mediaType != null && !mediaType.isEmpty() && MediaType.role(mediaType) != role) {
            throw new ImageFormatException(
                    "/mediaType", "media type '" + Text.clean(mediaType) + "' is not that of " + name(role));
        }
        checkSchemaVersion(document);
        for (String member : foreign) {
            if (document.has(member)) {
                throw new ImageFormatException(
                        "/" + member, name(role) + " that also has '" + member + "' is ambiguous");
            }
        }
    }

    /** manifest.md, image-index.md: MUST be 2. Left out by some tools, but never something else. */
    private static void checkSchemaVersion(Document document) throws ImageFormatException {
        if (document.has("schemaVersion") && document.size("schemaVersion") != 2) {
            throw new ImageFormatException(
                    "/schemaVersion", "unsupported schemaVersion " + document.size("schemaVersion"));
        }
    }

    private static String name(MediaType.Role role) {
        return role == MediaType.Role.INDEX ? "an index" : "a manifest";
    }
}
