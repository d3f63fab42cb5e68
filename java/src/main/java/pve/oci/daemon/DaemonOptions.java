package pve.oci.daemon;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.service.ServiceSettings;

/** The daemon's options, with their defaults. */
final class DaemonOptions {
    static final String USAGE = """
            usage: pve-ocid [OPTION]...
            Serves io.pve.oci: reads OCI image archives and extracts them into root file systems.

              --socket PATH         listen there (default: /run/pve-ocid/io.pve.oci, or systemd's socket)
              --worker-socket PATH  where workers connect (default: "worker" beside the socket)
              --launcher PATH       program that starts workers (default: below the home directory)
              --worker-option OPT   option for the worker's JVM; may be given several times
              --jobs N              jobs that run at once (default: twice the number of processors)
              --queue N             jobs that wait for their turn (default: 64)
              --spares N            ID maps for which a spare worker is kept (default: 4; 0: none)
              --hang SECONDS        a worker that is silent for so long is killed (default: 60)
              --allow-any-id-map    ID maps need not be within root's ranges in /etc/subuid and /etc/subgid
              --verbose             log more
              --help, --version
            """;

    private static final String DEFAULT_SOCKET = "/run/pve-ocid/io.pve.oci";
    private static final int DEFAULT_SPARES = 4;

    /** A command line that cannot be understood. */
    static final class UsageException extends Exception {
        private static final long serialVersionUID = 1;

        UsageException(String message) {
            super(message);
        }
    }

    private String socket = DEFAULT_SOCKET;
    private @Nullable String workerSocket;
    private @Nullable String launcher;
    private final List<String> workerOptions = new ArrayList<>();
    private int jobs = ServiceSettings.defaultMaximumRunningJobs();
    private int queue = ServiceSettings.DEFAULT_MAXIMUM_QUEUED_JOBS;
    private int spares = DEFAULT_SPARES;
    private int hangSeconds = (int) (ServiceSettings.DEFAULT_HANG_MILLIS / 1000);
    private boolean anyIdMap;
    private boolean verbose;
    private boolean help;
    private boolean version;

    static DaemonOptions parse(String... arguments) throws UsageException {
        DaemonOptions options = new DaemonOptions();
        List<String> rest = new ArrayList<>(List.of(arguments));
        while (!rest.isEmpty()) {
            String argument = rest.remove(0);
            int equals = argument.indexOf('=');
            if (argument.startsWith("--") && equals > 0) {
                rest.add(0, argument.substring(equals + 1));
                argument = argument.substring(0, equals);
            }
            options.take(argument, rest);
        }
        return options;
    }

    private void take(String option, List<String> rest) throws UsageException {
        switch (option) {
            case "--socket" -> socket = value(option, rest);
            case "--worker-socket" -> workerSocket = value(option, rest);
            case "--launcher" -> launcher = value(option, rest);
            case "--worker-option" -> workerOptions.add(value(option, rest));
            case "--jobs" -> jobs = number(option, rest, 1);
            case "--queue" -> queue = number(option, rest, 0);
            case "--spares" -> spares = number(option, rest, 0);
            case "--hang" -> hangSeconds = number(option, rest, 1);
            case "--allow-any-id-map" -> anyIdMap = true;
            case "--verbose" -> verbose = true;
            case "--help" -> help = true;
            case "--version" -> version = true;
            default -> throw new UsageException("unknown option: " + option);
        }
    }

    private static String value(String option, List<String> rest) throws UsageException {
        if (rest.isEmpty()) {
            throw new UsageException("option " + option + " needs a value");
        }
        return rest.remove(0);
    }

    private static int number(String option, List<String> rest, int minimum) throws UsageException {
        String value = value(option, rest);
        try {
            int number = Integer.parseInt(value);
            if (number >= minimum) {
                return number;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        throw new UsageException("option " + option + " needs a number of at least " + minimum + ", not: " + value);
    }

    String socket() {
        return socket;
    }

    String workerSocket() {
        if (workerSocket != null) {
            return workerSocket;
        }
        return Path.of(socket).toAbsolutePath().resolveSibling("worker").toString();
    }

    /** Where the launcher is; found below the home directory unless told. */
    Path launcher(Path libraryDirectory) {
        return launcher != null ? Path.of(launcher) : libraryDirectory.resolve("pve-oci-worker");
    }

    List<String> workerOptions() {
        return workerOptions;
    }

    int jobs() {
        return jobs;
    }

    int queue() {
        return queue;
    }

    int spares() {
        return spares;
    }

    long hangMillis() {
        return hangSeconds * 1000L;
    }

    boolean allowsAnyIdMap() {
        return anyIdMap;
    }

    boolean isVerbose() {
        return verbose;
    }

    boolean wantsHelp() {
        return help;
    }

    boolean wantsVersion() {
        return version;
    }
}
