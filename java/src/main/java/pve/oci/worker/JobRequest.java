package pve.oci.worker;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Selector;
import pve.oci.json.JsonLimits;
import pve.oci.layer.LayerLimits;
import pve.oci.layer.MappedIds;
import pve.oci.mtree.PathSet;
import pve.oci.oci.Platform;
import pve.oci.tar.TarLimits;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlChecker;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.VarlinkException;

/**
 * A call of io.pve.oci.worker, checked against that interface. Nothing has a default that would allow more than was
 * asked for: an ID map that is missing is an error, and so is a malformed limit.
 *
 * @param archiveName for messages, clean already
 * @param uids empty but for an extraction into a user namespace
 * @param existing what stays when a root directory is cleaned
 * @param keep paths that a comparison ignores and an update leaves alone
 * @param step of an update
 */
public record JobRequest(
        Action action,
        String archiveName,
        Selector selector,
        MappedIds uids,
        MappedIds gids,
        LayerLimits limits,
        JsonLimits jsonLimits,
        List<?> existing,
        List<String> keep,
        boolean discardsChanges,
        boolean writesRecord,
        String step) {
    /** What a worker can do. */
    public enum Action {
        DETECT("DetectArchive"),
        INSPECT("InspectImage"),
        VERIFY("VerifyImage"),
        EXTRACT("ParseAndExtractImage"),
        COMPARE("CompareRootDirectory"),
        COMPARE_IMAGE("CompareWithImage"),
        STAGE("StageUpdate"),
        APPLY("ApplyUpdate"),
        CLEAN("CleanRootDirectory");

        private final String method;

        Action(String method) {
            this.method = method;
        }

        /** The method with its interface's name. */
        public String method() {
            return PREFIX + method;
        }

        static Action ofMethod(String method) throws VarlinkException {
            for (Action action : values()) {
                if (method.equals(action.method())) {
                    return action;
                }
            }
            throw VarlinkException.methodNotFound(method);
        }
    }

    private static final String PREFIX = "io.pve.oci.worker.";
    private static final Idl IDL = IdlParser.ofResource("/io.pve.oci.worker.varlink");
    private static final IdlChecker CHECKER = new IdlChecker(IDL);

    /** user_namespaces(7): (uid_t) -1 is no ID. */
    private static final long IDS = 0xffff_ffffL;

    public boolean isPrivileged() {
        return uids.isPrivileged();
    }

    /**
     * Reads a call.
     *
     * @param method with its interface's name
     * @throws VarlinkException MethodNotFound, or InvalidParameter that names the first mistake
     */
    public static JobRequest of(String method, Map<String, @Nullable Object> parameters) throws VarlinkException {
        Action action = Action.ofMethod(method);
        String mismatch = CHECKER.mismatch(IDL.method(action.method).input(), parameters, "");
        if (mismatch != null) {
            throw VarlinkException.invalidParameter(mismatch);
        }
        Map<?, ?> limits = map(parameters.get("limits"));
        MappedIds uids = idMap(parameters, "uidMap");
        MappedIds gids = idMap(parameters, "gidMap");
        if (uids.isPrivileged() != gids.isPrivileged()) {
            // one map alone would make a container that is half privileged
            throw VarlinkException.invalidParameter(uids.isPrivileged() ? "uidMap" : "gidMap");
        }
        return new JobRequest(
                action,
                parameters.get("archiveName") instanceof String name ? name : "root directory",
                selector(map(parameters.get("selector"))),
                uids,
                gids,
                limits(limits),
                jsonLimits(limits),
                list(parameters.get("existing")),
                unescaped(list(parameters.get("keep"))),
                Boolean.TRUE.equals(parameters.get("discardChanges")),
                Boolean.TRUE.equals(parameters.get("record")),
                parameters.get("step") instanceof String step ? step : "");
    }

    private static List<String> unescaped(List<?> paths) {
        List<String> unescaped = new ArrayList<>();
        for (Object path : paths) {
            unescaped.add(PathSet.unescaped(String.valueOf(path)));
        }
        return unescaped;
    }

    private static Selector selector(Map<?, ?> json) {
        String architecture = optional(json, "architecture");
        return new Selector(
                optional(json, "referenceName"),
                architecture == null ? Platform.hostArchitecture() : Platform.goArchitecture(architecture),
                optional(json, "variant"),
                optional(json, "manifestDigest"));
    }

    private static MappedIds idMap(Map<String, @Nullable Object> parameters, String name) throws VarlinkException {
        List<MappedIds.MappedRange> ranges = new ArrayList<>();
        for (Object item : list(parameters.get(name))) {
            Map<?, ?> range = map(item);
            long inside = number(range, "inside", -1);
            long count = number(range, "count", -1);
            if (inside < 0 || count <= 0 || inside >= IDS || count > IDS - inside) {
                throw VarlinkException.invalidParameter(name + "[" + ranges.size() + "]");
            }
            ranges.add(new MappedIds.MappedRange(inside, count));
        }
        return new MappedIds(ranges);
    }

    private static LayerLimits limits(Map<?, ?> limits) throws VarlinkException {
        LayerLimits defaults = LayerLimits.DEFAULT;
        return new LayerLimits(
                limit(limits, "maximumSize", defaults.maximumSize()),
                limit(limits, "maximumEntries", defaults.maximumEntries()),
                limit(limits, "maximumSteps", defaults.maximumSteps()),
                limit(limits, "maximumRatio", defaults.maximumRatio()),
                intLimit(limits, "zstdWindowLog", defaults.zstdWindowLog()),
                limit(limits, "bandwidthLimit", defaults.bandwidthLimit()),
                limit(limits, "readAhead", defaults.readAhead()),
                tarLimits(limits));
    }

    private static JsonLimits jsonLimits(Map<?, ?> limits) throws VarlinkException {
        JsonLimits defaults = JsonLimits.DEFAULT;
        return new JsonLimits(
                intLimit(limits, "maximumJsonDepth", defaults.maximumDepth()),
                intLimit(limits, "maximumJsonSize", defaults.maximumSize()),
                intLimit(limits, "maximumJsonValues", defaults.maximumValues()));
    }

    private static TarLimits tarLimits(Map<?, ?> limits) throws VarlinkException {
        TarLimits defaults = TarLimits.DEFAULT;
        return new TarLimits(
                intLimit(limits, "maximumNameSize", defaults.maximumNameSize()),
                defaults.maximumLongNameSize(),
                intLimit(limits, "maximumPaxSize", defaults.maximumPaxSize()),
                defaults.maximumXattrNameSize(),
                intLimit(limits, "maximumXattrSize", defaults.maximumXattrSize()),
                intLimit(limits, "maximumXattrs", defaults.maximumXattrs()),
                intLimit(limits, "maximumSparseRegions", defaults.maximumSparseRegions()),
                defaults.maximumFileSize());
    }

    private static int intLimit(Map<?, ?> limits, String name, int absent) throws VarlinkException {
        long value = limit(limits, name, absent);
        if (value > Integer.MAX_VALUE) {
            throw VarlinkException.invalidParameter("limits." + name);
        }
        return (int) value;
    }

    private static long limit(Map<?, ?> limits, String name, long absent) throws VarlinkException {
        long value = number(limits, name, absent);
        if (value < 0) {
            throw VarlinkException.invalidParameter("limits." + name);
        }
        return value;
    }

    private static Map<?, ?> map(@Nullable Object json) {
        return json instanceof Map<?, ?> map ? map : Map.of();
    }

    private static List<?> list(@Nullable Object json) {
        return json instanceof List<?> list ? list : List.of();
    }

    private static @Nullable String optional(Map<?, ?> json, String name) {
        return json.get(name) instanceof String text && !text.isEmpty() ? text : null;
    }

    private static long number(Map<?, ?> json, String name, long absent) {
        return json.get(name) instanceof Number number ? number.longValue() : absent;
    }
}
