package pve.oci.oci;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/**
 * An image configuration (config.md).
 *
 * @param platform of the image, where the document gives its architecture
 * @param config the {@code config} object as found, but for its keys, which are spelled as in the specification, and
 *     members with the types that the specification wants; null when there is none. Its values are untrusted.
 * @param diffIds digests of the uncompressed layers, in order of application
 */
public record ImageConfig(
        @Nullable Platform platform, @Nullable Map<String, @Nullable Object> config, List<Digest> diffIds) {
    private static final List<String> STRINGS = List.of("User", "WorkingDir", "StopSignal");
    private static final List<String> ARRAYS = List.of("Env", "Entrypoint", "Cmd");
    private static final List<String> SETS = List.of("Volumes", "ExposedPorts");
    private static final List<String> OTHERS =
            List.of("Labels", "ArgsEscaped", "Memory", "MemorySwap", "CpuShares", "Healthcheck");

    /**
     * Parses a config blob.
     *
     * @throws ImageFormatException with a pointer to the member that breaks the specification
     */
    public static ImageConfig parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        Document document = Document.parse(json, limits);
        Document config = document.optionalObject("config");
        if (config != null) {
            check(config);
        }
        List<Digest> diffIds = new ArrayList<>();
        Document rootfs = document.optionalObject("rootfs");
        if (rootfs != null) {
            String type = rootfs.optionalString("type");
            if (type != null && !type.equals("layers")) {
                throw new ImageFormatException(
                        "/rootfs/type", "rootfs type is '" + Text.clean(type) + "', not 'layers'");
            }
            for (String diffId : rootfs.strings("diff_ids")) {
                diffIds.add(Digest.parse(diffId, "/rootfs/diff_ids/" + diffIds.size()));
            }
        }
        return new ImageConfig(Platform.of(document), config == null ? null : members(config), List.copyOf(diffIds));
    }

    private static Map<String, @Nullable Object> members(Document config) throws ImageFormatException {
        Map<String, String> names = new HashMap<>();
        for (List<String> group : List.of(STRINGS, ARRAYS, SETS, OTHERS)) {
            for (String name : group) {
                names.put(config.key(name), name);
            }
        }
        Map<String, @Nullable Object> members = new LinkedHashMap<>();
        config.members().forEach((key, value) -> members.put(names.getOrDefault(key, key), value));
        return members;
    }

    private static void check(Document config) throws ImageFormatException {
        for (String name : STRINGS) {
            config.optionalString(name);
        }
        for (String name : ARRAYS) {
            config.strings(name);
        }
        for (String name : SETS) {
            config.checkSet(name);
        }
        config.stringMap("Labels");
    }
}
