package pve.oci.daemon;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The daemon's options, with their defaults. */
final class DaemonOptions {
    private static final String USAGE = """
            usage: pve-ocid [OPTION]...
            Serves io.pve.oci: reads OCI image archives and extracts them into root file
            systems.

              --socket PATH         listen there (default: systemd's socket, or
                                    /run/pve-ocid/io.pve.oci)
              --worker-socket PATH  where workers connect (default: the socket's name
                                    with ".worker" to it)
              --launcher PATH       program that starts workers (default: below the home
                                    directory)
              --worker-option OPT   option for the worker's JVM; may be given several times
              --config FILE         settings (default: /etc/pve-ocid.conf)
              --check-config        read the settings, say what is wrong with them, and end
              --print-config        print a FILE that has every key with its default
              --help, --version

            Settings, which take precedence over those of FILE:

            """;

    private static final String DEFAULT_SOCKET = "/run/pve-ocid/io.pve.oci";

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
    private final Map<Setting, Long> settings = new EnumMap<>(Setting.class);
    private Path config = Configuration.DEFAULT_FILE;
    private @Nullable String printed;
    private boolean checksConfig;
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
            case "--config" -> config = Path.of(value(option, rest)).toAbsolutePath();
            case "--print-config" -> printed = ConfigurationTemplate.asFile();
            case "--print-config-pod" -> printed = ConfigurationTemplate.asPod();
            case "--check-config" -> checksConfig = true;
            case "--help" -> printed = USAGE + ConfigurationTemplate.asHelp();
            case "--version" -> version = true;
            default -> takeSetting(option, rest);
        }
    }

    private static String value(String option, List<String> rest) throws UsageException {
        if (rest.isEmpty()) {
            throw new UsageException("option " + option + " needs a value");
        }
        return rest.remove(0);
    }

    private void takeSetting(String option, List<String> rest) throws UsageException {
        Setting setting = option.startsWith("--") ? Setting.of(option.substring(2)) : null;
        if (setting == null) {
            throw new UsageException("unknown option: " + option);
        }
        try {
            // a flag alone is on
            boolean isAlone = setting.unit == Setting.Unit.FLAG
                    && (rest.isEmpty() || rest.get(0).startsWith("-"));
            settings.put(setting, isAlone ? 1L : setting.parse(value(option, rest)));
        } catch (Setting.ValueException e) {
            throw new UsageException("option " + option + ": " + e.getMessage());
        }
    }

    String socket() {
        return socket;
    }

    String workerSocket() {
        if (workerSocket != null) {
            return workerSocket;
        }
        // two daemons may have their sockets in one directory
        return Path.of(socket).toAbsolutePath() + ".worker";
    }

    /** Where the launcher is; found below the home directory unless told. */
    Path launcher(Path libraryDirectory) {
        return launcher != null ? Path.of(launcher) : libraryDirectory.resolve("pve-oci-worker");
    }

    List<String> workerOptions() {
        return workerOptions;
    }

    /** The settings given on the command line. */
    Map<Setting, Long> settings() {
        return settings;
    }

    Path config() {
        return config;
    }

    /** The text to print instead of serving; null to serve. */
    @Nullable
    String printed() {
        return printed;
    }

    boolean checksConfig() {
        return checksConfig;
    }

    boolean wantsVersion() {
        return version;
    }
}
