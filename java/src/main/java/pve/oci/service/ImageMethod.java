package pve.oci.service;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A method that works on an image. A worker's method that does the work has the same name. */
enum ImageMethod {
    DETECT("DetectArchive"),
    INSPECT("InspectImage"),
    VERIFY("VerifyImage"),
    EXTRACT("ParseAndExtractImage"),
    COMPARE("CompareRootDirectory"),
    COMPARE_IMAGE("CompareWithImage"),
    STAGE("StageUpdate"),
    APPLY("ApplyUpdate");

    private static final Map<String, ImageMethod> BY_NAME =
            Stream.of(values()).collect(Collectors.toMap(ImageMethod::method, Function.identity()));

    private final String method;

    ImageMethod(String method) {
        this.method = method;
    }

    static @Nullable ImageMethod ofName(String method) {
        return BY_NAME.get(method);
    }

    /** The name in the interface. */
    String method() {
        return method;
    }

    /**
     * Fields that the last reply must have. In the interface they are optional, because replies with progress lack
     * them.
     */
    List<String> requiredInReply() {
        return switch (this) {
            case DETECT, INSPECT, APPLY -> List.of();
            case VERIFY -> List.of("verified");
            case EXTRACT, STAGE -> List.of("result", "config");
            case COMPARE -> List.of("comparison");
            case COMPARE_IMAGE -> List.of("result", "config", "comparison");
        };
    }

    /** Whether the method's replies have fields for a job's number and progress. */
    boolean hasProgress() {
        return this != DETECT && this != INSPECT;
    }

    /** Whether the method works on an archive. */
    boolean hasArchive() {
        return this != COMPARE && this != APPLY;
    }

    /** Whether the method works on a root directory. */
    boolean hasRoot() {
        return this == EXTRACT || isUpdate();
    }

    /**
     * Whether other calls usually follow for the same root directory: then the worker may wait for the next one, see
     * {@link KeptWorker}.
     */
    boolean isStep() {
        return this == COMPARE || this == STAGE || this == APPLY;
    }

    /** Whether the method changes a container's system: then it takes the lock of its root directory. */
    boolean changesSystem() {
        return this == COMPARE_IMAGE || this == STAGE || this == APPLY;
    }

    /** Whether the root directory holds a container's system, and belongs to its root. */
    boolean isUpdate() {
        return this == COMPARE || this == COMPARE_IMAGE || this == STAGE || this == APPLY;
    }
}
