package pve.oci.worker;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Selector;
import pve.oci.json.JsonLimits;
import pve.oci.layer.LayerLimits;
import pve.oci.layer.MappedIds;
import pve.oci.oci.Platform;
import pve.oci.tar.TarLimits;

/**
 * What is to be done, as the daemon asks for it. The daemon has checked it; what is wrong with it is a mistake in the
 * program, so {@link IllegalArgumentException}.
 *
 * @param archiveName for messages
 * @param existing of a rootfs to be cleaned: what another worker found before it began
 */
public record JobRequest(
        Action action,
        String archiveName,
        Selector selector,
        MappedIds uids,
        MappedIds gids,
        LayerLimits limits,
        JsonLimits jsonLimits,
        @Nullable List<?> existing) {
    /** What a worker can do. */
    public enum Action {
        DETECT,
        INSPECT,
        VERIFY,
        EXTRACT,
        /** Takes back what a worker that died has left in a rootfs. */
        CLEAN
    }

    public boolean isPrivileged() {
        return uids.isPrivileged();
    }

    /** Reads the parameters of the call {@code io.pve.oci.worker.Run}. */
    public static JobRequest of(Map<String, @Nullable Object> parameters) {
        Map<?, ?> options = map(parameters.get("options"));
        return new JobRequest(
                Action.valueOf(string(parameters, "action", "").toUpperCase(java.util.Locale.ROOT)),
                string(parameters, "archiveName", "archive"),
                selector(map(parameters.get("selector"))),
                idMap(parameters.get("uidMap")),
                idMap(parameters.get("gidMap")),
                limits(options),
                jsonLimits(options),
                parameters.get("existing") instanceof List<?> list ? list : null);
    }

    private static Selector selector(Map<?, ?> json) {
        String architecture = string(json, "architecture", "");
        return new Selector(
                optional(json, "referenceName"),
                architecture.isEmpty() ? Platform.hostArchitecture() : Platform.goArchitecture(architecture),
                optional(json, "variant"),
                optional(json, "manifestDigest"));
    }

    private static MappedIds idMap(@Nullable Object json) {
        List<MappedIds.Range> ranges = new ArrayList<>();
        if (json instanceof List<?> list) {
            for (Object item : list) {
                Map<?, ?> range = map(item);
                ranges.add(new MappedIds.Range(number(range, "inside", 0), number(range, "count", 0)));
            }
        }
        return new MappedIds(ranges);
    }

    private static LayerLimits limits(Map<?, ?> options) {
        LayerLimits defaults = LayerLimits.DEFAULT;
        return new LayerLimits(
                number(options, "maximumSize", defaults.maximumSize()),
                number(options, "maximumEntries", defaults.maximumEntries()),
                number(options, "maximumSteps", defaults.maximumSteps()),
                number(options, "maximumRatio", defaults.maximumRatio()),
                (int) number(options, "zstdWindowLog", defaults.zstdWindowLog()),
                number(options, "bandwidthLimit", defaults.bandwidth()),
                number(options, "readAhead", defaults.readAhead()),
                tarLimits(options));
    }

    private static JsonLimits jsonLimits(Map<?, ?> options) {
        JsonLimits defaults = JsonLimits.DEFAULT;
        return new JsonLimits(
                (int) number(options, "maximumJsonDepth", defaults.maximumDepth()),
                (int) number(options, "maximumJsonSize", defaults.maximumSize()),
                (int) number(options, "maximumJsonValues", defaults.maximumValues()));
    }

    private static TarLimits tarLimits(Map<?, ?> options) {
        TarLimits defaults = TarLimits.DEFAULT;
        return new TarLimits(
                (int) number(options, "maximumNameSize", defaults.nameSize()),
                (int) number(options, "maximumLongNameSize", defaults.longNameSize()),
                (int) number(options, "maximumPaxSize", defaults.paxSize()),
                defaults.xattrNameSize(),
                (int) number(options, "maximumXattrSize", defaults.xattrValueSize()),
                (int) number(options, "maximumXattrs", defaults.xattrCount()),
                (int) number(options, "maximumSparseRegions", defaults.sparseRegionCount()),
                defaults.fileSize());
    }

    private static Map<?, ?> map(@Nullable Object json) {
        return json instanceof Map<?, ?> map ? map : Map.of();
    }

    private static String string(Map<?, ?> json, String name, String absent) {
        return json.get(name) instanceof String text ? text : absent;
    }

    private static @Nullable String optional(Map<?, ?> json, String name) {
        return json.get(name) instanceof String text && !text.isEmpty() ? text : null;
    }

    private static long number(Map<?, ?> json, String name, long absent) {
        return json.get(name) instanceof Number number ? number.longValue() : absent;
    }
}
