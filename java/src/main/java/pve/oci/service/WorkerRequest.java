package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Fd;

/**
 * A call of io.pve.oci.worker.
 *
 * @param method with its interface's name
 * @param descriptors that the worker gets copies of; parameters name them by their index
 */
public record WorkerRequest(String method, Map<String, @Nullable Object> parameters, List<Fd> descriptors) {
    private static final String PREFIX = "io.pve.oci.worker.";

    /** Makes the request for a method that works on an image or a root directory. */
    static WorkerRequest ofJob(
            ImageMethod method,
            @Nullable ArchiveFile archive,
            @Nullable RootDirectory root,
            JobParameters parameters,
            IdMaps maps,
            ServiceSettings settings) {
        WorkerRequest request = of(method);
        if (archive != null) {
            request.addArchive(archive.fd(), archive.name());
            request.parameters.put("limits", limits(parameters.options(), settings.workerLimits()));
            if (method != ImageMethod.DETECT) {
                request.parameters.put(
                        "selector", parameters.selector() == null ? Map.of() : Parameters.tree(parameters.selector()));
            }
        }
        if (root != null) {
            request.addRoot(root.tree());
        }
        request.addOwn(method, parameters, maps);
        return request;
    }

    /** What only this method has. */
    private void addOwn(ImageMethod method, JobParameters call, IdMaps maps) {
        switch (method) {
            case EXTRACT -> {
                addMaps(maps);
                parameters.put("record", wantsRecord(call.options()));
            }
            case COMPARE_IMAGE -> {
                addMaps(maps);
                parameters.put("keep", orEmpty(call.keep()));
            }
            case STAGE -> {
                addMaps(maps);
                parameters.put("keep", orEmpty(call.keep()));
                parameters.put("discardChanges", Boolean.TRUE.equals(call.discardChanges()));
            }
            case COMPARE -> parameters.put("keep", orEmpty(call.keep()));
            case APPLY -> parameters.put("step", call.step());
            default -> {
                // these methods have only an archive
            }
        }
    }

    private static boolean wantsRecord(@Nullable ExtractOptions options) {
        return options != null && Boolean.TRUE.equals(options.record());
    }

    private static List<String> orEmpty(@Nullable List<String> list) {
        return list == null ? List.of() : list;
    }

    /** A request that warms up a spare worker, with a built-in image. It has the record made, as every create does. */
    public static WorkerRequest ofWarmUp(Fd archive, Fd root, IdMaps maps) {
        WorkerRequest request = of(ImageMethod.EXTRACT);
        request.addArchive(archive, "warm-up");
        request.parameters.put("record", true);
        request.parameters.put("limits", Map.of());
        request.parameters.put("selector", Map.of());
        request.addRoot(root);
        request.addMaps(maps);
        return request;
    }

    /** A request that warms up a spare worker, for a tree that it has made with {@link #ofWarmUp}. */
    public static WorkerRequest ofWarmUpComparison(Fd root) {
        WorkerRequest request = of(ImageMethod.COMPARE);
        request.addRoot(root);
        request.parameters.put("keep", List.of());
        return request;
    }

    /** The request to remove what another worker has made. */
    static WorkerRequest ofClean(RootDirectory root) {
        WorkerRequest request =
                new WorkerRequest(PREFIX + "CleanRootDirectory", new LinkedHashMap<>(), new ArrayList<>());
        request.addRoot(root.tree());
        request.parameters.put("existing", root.existing().toJsonWithoutAttributes());
        return request;
    }

    /** The request to take back an update that a worker has begun. */
    static WorkerRequest ofAbandon(RootDirectory root) {
        WorkerRequest request = of(ImageMethod.APPLY);
        request.addRoot(root.tree());
        request.parameters.put("step", "abandon");
        return request;
    }

    private static WorkerRequest of(ImageMethod method) {
        return new WorkerRequest(PREFIX + method.method(), new LinkedHashMap<>(), new ArrayList<>());
    }

    private void addArchive(Fd archive, String name) {
        parameters.put("archiveFileDescriptor", descriptors.size());
        parameters.put("archiveName", name);
        descriptors.add(archive);
    }

    private void addRoot(Fd root) {
        parameters.put("rootDirectoryFileDescriptor", descriptors.size());
        descriptors.add(root);
    }

    private void addMaps(IdMaps maps) {
        parameters.put("uidMap", ranges(maps.uid()));
        parameters.put("gidMap", ranges(maps.gid()));
    }

    private static List<@Nullable Object> ranges(IdMap map) {
        List<@Nullable Object> ranges = new ArrayList<>();
        map.ranges().forEach(range -> ranges.add(Map.of("inside", range.inside(), "count", range.count())));
        return ranges;
    }

    /** The limits of the client and of the daemon. If both limit the same thing, the smaller one counts. */
    private static Map<String, @Nullable Object> limits(@Nullable ExtractOptions client, Map<String, Long> daemon) {
        Map<String, @Nullable Object> limits = new LinkedHashMap<>(daemon);
        if (client != null) {
            putSmaller(limits, "maximumSize", client.maximumSize());
            putSmaller(limits, "maximumEntries", client.maximumEntries());
            putSmaller(limits, "bandwidthLimit", client.bandwidthLimit());
        }
        return limits;
    }

    private static void putSmaller(Map<String, @Nullable Object> limits, String name, @Nullable Long value) {
        // a bandwidth of 0 is none
        if (value != null && (!(limits.get(name) instanceof Long limit) || limit == 0 || value < limit)) {
            limits.put(name, value);
        }
    }
}
