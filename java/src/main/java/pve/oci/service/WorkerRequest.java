package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The parameters of a worker's only method. */
public final class WorkerRequest {
    private WorkerRequest() {}

    /** For the four methods that work on an image. */
    static Map<String, @Nullable Object> ofJob(
            Action action, ImageArchive archive, JobParameters parameters, IdMaps maps, ServiceSettings settings) {
        Map<String, @Nullable Object> request = request(action.request(), archive.name(), archive.isDirectory(), maps);
        request.put("selector", parameters.selector() == null ? Map.of() : Parameters.tree(parameters.selector()));
        request.put("options", options(parameters.options(), settings.workerLimits()));
        return request;
    }

    /** Those of the client and those of the daemon; of what both limit, the smaller. */
    private static Map<String, @Nullable Object> options(@Nullable ExtractOptions client, Map<String, Long> limits) {
        Map<String, @Nullable Object> options = new LinkedHashMap<>(limits);
        if (client != null) {
            limit(options, "maximumSize", client.maximumSize());
            limit(options, "maximumEntries", client.maximumEntries());
            limit(options, "bandwidthLimit", client.bandwidthLimit());
        }
        return options;
    }

    private static void limit(Map<String, @Nullable Object> options, String name, @Nullable Long value) {
        // 0 is no limit, of the bandwidth
        if (value != null && (!(options.get(name) instanceof Long limit) || limit == 0 || value < limit)) {
            options.put(name, value);
        }
    }

    /** For a spare worker, on an image of our own. */
    public static Map<String, @Nullable Object> ofWarmUp(IdMaps maps) {
        Map<String, @Nullable Object> request = request("extract", "warm-up", false, maps);
        request.put("selector", Map.of());
        request.put("options", Map.of());
        return request;
    }

    /**
     * To remove what a dead worker made.
     *
     * @param existing what that worker told of the directories it found, unchanged
     */
    static Map<String, @Nullable Object> ofClean(IdMaps maps, List<@Nullable Object> existing) {
        Map<String, @Nullable Object> request = new LinkedHashMap<>();
        request.put("action", "clean");
        request.put("existing", existing);
        request.put("uidMap", ranges(maps.uid()));
        request.put("gidMap", ranges(maps.gid()));
        return request;
    }

    private static Map<String, @Nullable Object> request(
            String action, String archiveName, boolean archiveIsDirectory, IdMaps maps) {
        Map<String, @Nullable Object> request = new LinkedHashMap<>();
        request.put("action", action);
        request.put("archiveName", archiveName);
        request.put("archiveIsDirectory", archiveIsDirectory);
        request.put("uidMap", ranges(maps.uid()));
        request.put("gidMap", ranges(maps.gid()));
        return request;
    }

    private static List<@Nullable Object> ranges(IdMap map) {
        List<@Nullable Object> ranges = new ArrayList<>();
        for (IdMapRange range : map.ranges()) {
            ranges.add(Map.of("inside", range.inside(), "outside", range.outside(), "count", range.count()));
        }
        return ranges;
    }
}
