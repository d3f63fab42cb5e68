package pve.oci.archive;

import org.jspecify.annotations.Nullable;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Platform;
import pve.oci.text.Text;

/**
 * Which image of an archive is wanted.
 *
 * @param referenceName value of the annotation org.opencontainers.image.ref.name, or of containerd's
 *     io.containerd.image.name with or without docker.io; in a docker archive one of RepoTags; null: any
 * @param architecture in Go's spelling
 * @param variant null: one that every machine of the architecture can run, or else the first
 * @param manifestDigest takes precedence over everything else
 */
public record Selector(
        @Nullable String referenceName,
        String architecture,
        @Nullable String variant,
        @Nullable String manifestDigest) {
    boolean fitsName(Descriptor descriptor) {
        return referenceName == null
                || fitsName(descriptor.referenceName())
                || fitsName(descriptor.fullName())
                || fitsName(descriptor.containerdName());
    }

    boolean fitsName(@Nullable String name) {
        return referenceName == null || referenceName.equals(name);
    }

    boolean fitsArchitecture(Platform platform) {
        return platform.os().equals("linux")
                && platform.architecture().equals(architecture)
                && fitsVariant(platform.variant());
    }

    private boolean fitsVariant(@Nullable String actual) {
        return variant == null || variant.equals(actual) || (actual == null && isBaseline(variant));
    }

    /** Whether every machine of the architecture can run it. Such an image is preferred if no variant was asked for. */
    boolean isPlain(Platform platform) {
        return variant != null || platform.variant() == null || isBaseline(platform.variant());
    }

    /**
     * The variants that every machine of the architecture has: amd64 v1 and arm64 v8 (Go's GOAMD64, OCI's variants).
     */
    private boolean isBaseline(String name) {
        return switch (architecture) {
            case "amd64" -> name.equals("v1");
            case "arm64" -> name.equals("v8");
            default -> false;
        };
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder("linux/").append(architecture);
        if (variant != null) {
            text.append('/').append(variant);
        }
        if (referenceName != null) {
            text.append(" named '").append(Text.clean(referenceName)).append('\'');
        }
        return text.toString();
    }
}
