package pve.oci.oci;

import java.util.Map;

/**
 * Media types and what a blob of each is (media-types.md; docker's are equal to OCI's). The compression that a layer's
 * type names is not used: mislabelled layers are common, the blob's first bytes say it and the diff ID guards it.
 */
public final class MediaType {
    /** What a descriptor's blob is. */
    public enum Role {
        INDEX,
        MANIFEST,
        CONFIG,
        LAYER,
        /** docker's manifest before version 2: neither layers nor config by digest */
        SCHEMA1,
        UNKNOWN
    }

    private static final String OCI = "application/vnd.oci.image.";
    private static final String DOCKER = "application/vnd.docker.";

    private static final Map<String, Role> ROLES = Map.ofEntries(
            Map.entry(OCI + "index.v1+json", Role.INDEX),
            Map.entry(DOCKER + "distribution.manifest.list.v2+json", Role.INDEX),
            Map.entry(OCI + "manifest.v1+json", Role.MANIFEST),
            Map.entry(DOCKER + "distribution.manifest.v2+json", Role.MANIFEST),
            Map.entry(DOCKER + "distribution.manifest.v1+json", Role.SCHEMA1),
            Map.entry(DOCKER + "distribution.manifest.v1+prettyjws", Role.SCHEMA1),
            Map.entry(OCI + "config.v1+json", Role.CONFIG),
            Map.entry(DOCKER + "container.image.v1+json", Role.CONFIG),
            Map.entry(OCI + "layer.v1.tar", Role.LAYER),
            Map.entry(OCI + "layer.v1.tar+gzip", Role.LAYER),
            Map.entry(OCI + "layer.v1.tar+zstd", Role.LAYER),
            Map.entry(OCI + "layer.nondistributable.v1.tar", Role.LAYER),
            Map.entry(OCI + "layer.nondistributable.v1.tar+gzip", Role.LAYER),
            Map.entry(OCI + "layer.nondistributable.v1.tar+zstd", Role.LAYER),
            Map.entry(DOCKER + "image.rootfs.diff.tar", Role.LAYER),
            Map.entry(DOCKER + "image.rootfs.diff.tar.gzip", Role.LAYER),
            Map.entry(DOCKER + "image.rootfs.diff.tar.zstd", Role.LAYER),
            Map.entry(DOCKER + "image.rootfs.foreign.diff.tar", Role.LAYER),
            Map.entry(DOCKER + "image.rootfs.foreign.diff.tar.gzip", Role.LAYER),
            // before the vendor tree was registered, and what docker save writes
            Map.entry("application/vnd.docker.container.image.rootfs.diff+x-gtar", Role.LAYER));

    private MediaType() {}

    /** What a blob of this media type is; UNKNOWN for a type that is not in the table. */
    public static Role role(String mediaType) {
        // RFC 9110 5.6.6: parameters may follow; type names have no case
        int parameters = mediaType.indexOf(';');
        String type = parameters < 0 ? mediaType : mediaType.substring(0, parameters);
        return ROLES.getOrDefault(type.strip().toLowerCase(java.util.Locale.ROOT), Role.UNKNOWN);
    }
}
