package pve.oci.service;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * What the service may do, and how much of it.
 *
 * @param protectedPaths directories that no root directory may hold: the daemon's own files
 * @param hangMillis how long a worker may be silent
 * @param workerLimits limits of the engine, by their names in the type Limits of io.pve.oci.worker
 */
public record ServiceSettings(
        SubordinateIds subordinateUids,
        SubordinateIds subordinateGids,
        int maximumRunningJobs,
        int maximumQueuedJobs,
        long hangMillis,
        long cleanMillis,
        List<Path> protectedPaths,
        Map<String, Long> workerLimits) {
    public static final long DEFAULT_HANG_MILLIS = 60_000;
    public static final long DEFAULT_CLEAN_MILLIS = 60_000;
    public static final int DEFAULT_MAXIMUM_QUEUED_JOBS = 64;

    /** Twice the number of processors run at once: a job waits for its disk half of the time. */
    public static int defaultMaximumRunningJobs() {
        return 2 * Runtime.getRuntime().availableProcessors();
    }
}
