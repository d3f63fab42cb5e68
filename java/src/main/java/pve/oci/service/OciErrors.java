package pve.oci.service;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.text.Text;
import pve.oci.varlink.VarlinkException;

/**
 * The errors of io.pve.oci that the daemon itself answers with; those of workers pass through {@link WorkerReplies}.
 */
final class OciErrors {
    static final String PREFIX = "io.pve.oci.";

    /**
     * Errors that only the daemon decides. From a worker they are not accepted: some of them are not logged as
     * failures, and by others the command's exit status would say that the user may not use the daemon.
     */
    static final Set<String> OF_THE_DAEMON_ALONE = Set.of(
            "RootDirectoryInUse",
            "InvalidArgument",
            "PermissionDenied",
            "TooManyJobs",
            "NoSuchJob",
            "Cancelled",
            "ShuttingDown",
            "WorkerFailed");

    private OciErrors() {}

    static VarlinkException invalidArgument(String parameter, String message) {
        return error("InvalidArgument", message, Map.of("parameter", parameter));
    }

    static VarlinkException permissionDenied(String message) {
        return error("PermissionDenied", message, Map.of());
    }

    static VarlinkException tooManyJobs(int maximum) {
        return error("TooManyJobs", "too many jobs: " + maximum + " are waiting already", Map.of("maximum", maximum));
    }

    static VarlinkException noSuchJob(String id) {
        return error("NoSuchJob", "no such job: " + Text.clean(id), Map.of("id", id));
    }

    static VarlinkException cancelled(String id, String reason) {
        return error("Cancelled", "job " + id + " was cancelled: " + reason, Map.of("id", id));
    }

    static VarlinkException shuttingDown() {
        return error("ShuttingDown", "the daemon is being stopped", Map.of());
    }

    /** @param reason what it holds */
    static VarlinkException rootDirectoryNotEmpty(String name, String reason) {
        return error(
                "RootDirectoryNotEmpty",
                "root directory " + Text.clean(name) + " is not empty: " + Text.clean(reason),
                Map.of("rootDirectory", name));
    }

    /** @param where the other job extracts, as "into it" */
    static VarlinkException rootDirectoryInUse(String name, String jobId, String where) {
        return error(
                "RootDirectoryInUse",
                "root directory " + Text.clean(name) + " is in use: job " + jobId + " extracts " + where,
                Map.of("rootDirectory", name, "jobId", jobId));
    }

    static VarlinkException updatePending(String name) {
        return error(
                "UpdatePending",
                "'" + Text.clean(name) + "' is being updated or rolled back by another call: wait for its end",
                Map.of());
    }

    /** @param what the file, or what else the system call was about */
    static VarlinkException systemError(String what, @Nullable String path, ErrnoException e) {
        return systemError(Text.clean(what) + ": " + e.getMessage(), e, path);
    }

    static VarlinkException cannotOpen(String path, ErrnoException e) {
        return systemError("cannot open " + Text.clean(path) + ": " + Errno.describe(e.errno()), e, path);
    }

    private static VarlinkException systemError(String message, ErrnoException e, @Nullable String path) {
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>(e.parameters());
        parameters.put("path", path);
        return error("SystemError", message, parameters);
    }

    static VarlinkException workerFailed(String message) {
        return workerFailed(message, null, null);
    }

    static VarlinkException workerFailed(String message, @Nullable Integer exitStatus, @Nullable String signal) {
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        parameters.put("exitStatus", exitStatus);
        parameters.put("signal", signal);
        return error("WorkerFailed", message, parameters);
    }

    private static VarlinkException error(String name, String message, Map<String, ? extends @Nullable Object> more) {
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>(more);
        parameters.put("message", message);
        return new VarlinkException(PREFIX + name, parameters);
    }
}
