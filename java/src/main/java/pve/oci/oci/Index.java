package pve.oci.oci;

import java.util.ArrayList;
import java.util.List;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;

/** An image index (image-index.md), also {@code index.json} and docker's manifest list. */
public record Index(List<Descriptor> manifests) {
    /** Parses the document; {@code manifests} must be there, may be empty. */
    public static Index parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        Document document = Document.parse(json, limits);
        if (!document.has("manifests")) {
            throw new ImageFormatException("/manifests", "missing manifests");
        }
        Manifest.refuseOther(document, MediaType.Role.INDEX, List.of("layers", "config"));
        List<Descriptor> manifests = new ArrayList<>();
        for (Document item : document.objects("manifests")) {
            manifests.add(Descriptor.of(item));
        }
        return new Index(List.copyOf(manifests));
    }
}
