package pve.oci.rootfs;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.FileStatus;
import pve.oci.linux.Libc;

/**
 * One entry that stood below the root before the extraction.
 *
 * @param path from the root on, as bytes in ISO 8859-1; empty for the root itself
 * @param isClosed whether it is the root of a volume of which not all was listed
 * @param attributes what a failure brings back; null for what is no directory, of which nothing is ever changed, and
 *     where another process brings it back
 */
record ExistingEntry(
        String path,
        boolean isDirectory,
        boolean isClosed,
        @Nullable Attributes attributes) {
    /** The attributes of a directory that an image's entry for it would replace. */
    record Attributes(FileMetadata metadata, Map<String, String> extended) {
        static Attributes of(FileStatus status, Map<String, String> extended) {
            FileMetadata metadata = new FileMetadata(
                    status.mode() & Libc.S_PERMISSIONS,
                    status.uid(),
                    status.gid(),
                    status.modifiedSeconds(),
                    status.modifiedNanos());
            return new Attributes(metadata, extended);
        }

        private static Attributes of(Map<?, ?> json) {
            Map<String, String> extended = new LinkedHashMap<>();
            if (json.get("extended") instanceof Map<?, ?> map) {
                map.forEach((name, value) -> extended.put((String) name, (String) value));
            }
            FileMetadata metadata = new FileMetadata(
                    (int) number(json, "mode"),
                    (int) number(json, "uid"),
                    (int) number(json, "gid"),
                    number(json, "seconds"),
                    (int) number(json, "nanoseconds"));
            return new Attributes(metadata, extended);
        }

        private static long number(Map<?, ?> json, String name) {
            return json.get(name) instanceof Number number ? number.longValue() : 0;
        }

        private Map<String, Object> toJson() {
            return Map.of(
                    "mode", metadata.mode(),
                    "uid", metadata.uid(),
                    "gid", metadata.gid(),
                    "seconds", metadata.seconds(),
                    "nanoseconds", metadata.nanos(),
                    "extended", extended);
        }
    }

    byte[] pathBytes() {
        return path.getBytes(StandardCharsets.ISO_8859_1);
    }

    /** The path of the directory that holds it; empty for the root itself and what is directly in it. */
    String parentPath() {
        return path.substring(0, Math.max(0, path.lastIndexOf('/')));
    }

    byte[] name() {
        return path.substring(path.lastIndexOf('/') + 1).getBytes(StandardCharsets.ISO_8859_1);
    }

    static ExistingEntry of(Map<?, ?> json) {
        return new ExistingEntry(
                String.valueOf(json.get("path")),
                Boolean.TRUE.equals(json.get("isDirectory")),
                Boolean.TRUE.equals(json.get("isClosed")),
                json.get("attributes") instanceof Map<?, ?> attributes ? Attributes.of(attributes) : null);
    }

    Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("path", path);
        json.put("isDirectory", isDirectory);
        if (isClosed) {
            json.put("isClosed", true);
        }
        if (attributes != null) {
            json.put("attributes", attributes.toJson());
        }
        return json;
    }
}
