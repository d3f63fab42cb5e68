package pve.oci.service;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a worker's process ended.
 *
 * @param status its exit status, when it left by itself
 * @param signal the name of the signal that ended it
 */
public record WorkerExit(@Nullable Integer status, @Nullable String signal) {
    public static final WorkerExit UNKNOWN = new WorkerExit(null, null);

    // signal(7): numbers that x86-64 and arm64 share
    private static final Map<Integer, String> SIGNALS = Map.ofEntries(
            Map.entry(1, "SIGHUP"),
            Map.entry(2, "SIGINT"),
            Map.entry(3, "SIGQUIT"),
            Map.entry(4, "SIGILL"),
            Map.entry(6, "SIGABRT"),
            Map.entry(7, "SIGBUS"),
            Map.entry(8, "SIGFPE"),
            Map.entry(9, "SIGKILL"),
            Map.entry(11, "SIGSEGV"),
            Map.entry(13, "SIGPIPE"),
            Map.entry(14, "SIGALRM"),
            Map.entry(15, "SIGTERM"),
            Map.entry(24, "SIGXCPU"),
            Map.entry(25, "SIGXFSZ"),
            Map.entry(31, "SIGSYS"));

    /**
     * Reads an exit status in the form of shells and of the launcher: above 128 it is 128 and the number of a signal.
     */
    public static WorkerExit ofStatus(int status) {
        return status > 128
                ? new WorkerExit(null, SIGNALS.getOrDefault(status - 128, "signal " + (status - 128)))
                : new WorkerExit(status, null);
    }

    /** For a message: "was killed by SIGSEGV". */
    public String describe() {
        if (signal != null) {
            return "was killed by " + signal;
        }
        return status == null ? "is gone" : "left with exit status " + status;
    }
}
