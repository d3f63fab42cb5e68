package pve.oci.service;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a worker is asked to do, by the method that asks for it. */
enum Action {
    DETECT("DetectArchive"),
    INSPECT("InspectImage"),
    VERIFY("VerifyImage"),
    EXTRACT("ParseAndExtractImage");

    private static final Map<String, Action> BY_METHOD =
            Map.of(DETECT.method, DETECT, INSPECT.method, INSPECT, VERIFY.method, VERIFY, EXTRACT.method, EXTRACT);

    private final String method;

    Action(String method) {
        this.method = method;
    }

    static @Nullable Action ofMethod(String method) {
        return BY_METHOD.get(method);
    }

    /** The method's name in the interface. */
    String method() {
        return method;
    }

    /** The name in requests to workers. */
    String request() {
        return switch (this) {
            case DETECT -> "detect";
            case INSPECT -> "inspect";
            case VERIFY -> "verify";
            case EXTRACT -> "extract";
        };
    }

    /** Fields that are optional only because replies with progress have not got them yet. */
    List<String> requiredInReply() {
        return switch (this) {
            case DETECT, INSPECT -> List.of();
            case VERIFY -> List.of("verified");
            case EXTRACT -> List.of("result", "config");
        };
    }

    /** Whether the method's replies have fields for a job's number and progress. */
    boolean hasProgress() {
        return this == VERIFY || this == EXTRACT;
    }
}
