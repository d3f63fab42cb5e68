package pve.oci.oci;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A content descriptor (descriptor.md): what a blob is, its digest and its size. {@code urls} and {@code data} are not
 * kept: nothing is ever fetched, and a blob counts only when it stands in the archive.
 */
public record Descriptor(
        String mediaType,
        Digest digest,
        long size,
        Map<String, String> annotations,
        @Nullable Platform platform) {
    public static final String REFERENCE_NAME = "org.opencontainers.image.ref.name";

    static Descriptor of(Document document) throws ImageFormatException {
        String mediaType = document.string("mediaType");
        Digest digest = Digest.parse(document.string("digest"), document.pointer("digest"));
        return new Descriptor(
                mediaType,
                digest,
                document.size("size"),
                document.stringMap("annotations"),
                Platform.of(document.optionalObject("platform")));
    }

    public MediaType.Role role() {
        return MediaType.role(mediaType);
    }

    /** The tag or name that the archive's maker gave the image (annotations.md); untrusted. */
    public @Nullable String referenceName() {
        return annotations.get(REFERENCE_NAME);
    }

    /** The name that docker and buildx write beside the tag alone: "docker.io/library/busybox:1"; untrusted. */
    public @Nullable String containerdName() {
        return annotations.get("io.containerd.image.name");
    }

    /** The same as people write it: "busybox:1". */
    public @Nullable String fullName() {
        String name = containerdName();
        return name == null ? null : name.replaceFirst("^docker\\.io/(?:library/)?", "");
    }

    /**
     * buildx stores provenance beside images as manifests of the platform unknown/unknown, which are no images
     * (annotation vnd.docker.reference.type).
     */
    public boolean isAttestation() {
        return "attestation-manifest".equals(annotations.get("vnd.docker.reference.type"))
                || (platform != null && "unknown".equals(platform.architecture()));
    }

    /** The interface's type Descriptor. */
    public Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("mediaType", mediaType);
        json.put("digest", digest.toString());
        json.put("size", size);
        if (!annotations.isEmpty()) {
            json.put("annotations", annotations);
        }
        return json;
    }
}
