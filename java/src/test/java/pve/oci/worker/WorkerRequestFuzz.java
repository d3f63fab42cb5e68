package pve.oci.worker;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.varlink.VarlinkException;

/** A request to a worker is a job, or is refused with an error that names the mistake. */
public final class WorkerRequestFuzz {
    private static final JsonLimits LIMITS = new JsonLimits(16, 1 << 20, 20_000);

    private WorkerRequestFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) {
        try {
            Map<String, @Nullable Object> call = Json.parseObject(input, LIMITS);
            if (call.get("method") instanceof String method && call.get("parameters") instanceof Map<?, ?> map) {
                Map<String, @Nullable Object> parameters = Json.asObject(map);
                JobRequest request = JobRequest.of(method, parameters);
                if (request.action() == JobRequest.Action.EXTRACT
                        && request.isPrivileged()
                        && !(parameters.get("uidMap") instanceof List<?> ranges && ranges.isEmpty())) {
                    throw new AssertionError("privileged, though the map does not say so");
                }
            }
        } catch (JsonFormatException e) {
            // no frame at all
        } catch (VarlinkException e) {
            if (!e.error().startsWith("org.varlink.service.")) {
                throw new AssertionError("refused by the wrong error: " + e.error());
            }
        }
    }
}
