package pve.oci.worker;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.VarlinkException;

/** Requests to a worker as its callers make them, with defaults for what a test does not care about. */
final class Requests {
    private Requests() {}

    /** @param more further parameters, or others than the defaults */
    static JobRequest of(JobRequest.Action action, Map<String, ?> more) {
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        if (action != JobRequest.Action.CLEAN) {
            parameters.put("archiveFileDescriptor", 0);
            parameters.put("archiveName", "ARCHIVE");
            parameters.put("limits", Map.of());
        }
        if (action != JobRequest.Action.CLEAN && action != JobRequest.Action.DETECT) {
            parameters.put("selector", Map.of("architecture", "amd64"));
        }
        if (action == JobRequest.Action.CLEAN || action == JobRequest.Action.EXTRACT) {
            parameters.put("rootDirectoryFileDescriptor", 1);
        }
        if (action == JobRequest.Action.EXTRACT) {
            parameters.put("uidMap", List.of());
            parameters.put("gidMap", List.of());
        }
        parameters.putAll(more);
        try {
            return JobRequest.of(action.method(), parameters);
        } catch (VarlinkException e) {
            throw new IllegalArgumentException(e);
        }
    }
}
