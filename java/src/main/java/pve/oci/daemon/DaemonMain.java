package pve.oci.daemon;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;
import pve.oci.service.IdMaps;
import pve.oci.service.ServiceSettings;
import pve.oci.service.SubordinateIds;

/** The program pve-ocid. Its home is the directory of its jars, system property {@code pve.oci.home}. */
public final class DaemonMain {
    private static final int EXIT_FAILURE = 1;
    private static final int EXIT_USAGE = 2;

    /** EX_CONFIG of sysexits.h. The unit does not start the service again after it: it would end the same way. */
    private static final int EXIT_CONFIGURATION = 78;

    private DaemonMain() {}

    public static void main(String[] arguments) {
        LogProvider.use();
        System.exit(run(arguments));
    }

    /** Not a constant: the first worker is started before the log is set up. */
    private static Logger log() {
        return LoggerFactory.getLogger(DaemonMain.class);
    }

    private static int run(String... arguments) {
        DaemonOptions options;
        try {
            options = DaemonOptions.parse(arguments);
        } catch (DaemonOptions.UsageException e) {
            System.err.println("pve-ocid: " + e.getMessage());
            return EXIT_USAGE;
        }
        String text = options.wantsVersion() ? "pve-ocid " + Daemon.version() + "\n" : options.printed();
        if (text != null) {
            return print(text);
        }
        if (options.checksConfig()) {
            return check(options);
        }
        return serve(options);
    }

    private static int print(String text) {
        System.out.print(text);
        // checkError() flushes; a PrintStream throws no exceptions
        if (System.out.checkError()) {
            System.err.println("pve-ocid: cannot write to standard output");
            return EXIT_FAILURE;
        }
        return 0;
    }

    private static int check(DaemonOptions options) {
        try {
            Configuration.read(options.config(), options.settings());
            return 0;
        } catch (IOException e) {
            System.err.println("pve-ocid: " + e.getMessage());
            return EXIT_CONFIGURATION;
        }
    }

    private static int serve(DaemonOptions options) {
        try {
            Daemon daemon = create(options);
            // exit status 0 after SIGTERM: the JVM's own would be 143
            Runtime.getRuntime()
                    .addShutdownHook(new Thread(
                            () -> {
                                daemon.stop();
                                Runtime.getRuntime().halt(0);
                            },
                            "stop"));
            daemon.run();
            return 0;
        } catch (IOException e) {
            log().error("cannot serve: {}", e.getMessage());
            turnAwayWhoeverWaits();
            int status = e instanceof Configuration.ConfigurationException ? EXIT_CONFIGURATION : EXIT_FAILURE;
            Runtime.getRuntime().halt(status);
            return status;
        }
    }

    /**
     * Accepts and closes the connections that wait at systemd's socket, so that these clients see that nobody serves
     * them. Otherwise systemd would start us for them again and again, until it gave up the socket.
     */
    private static void turnAwayWhoeverWaits() {
        try {
            SocketFile listener = SocketFile.ofSystemd(System.getenv("LISTEN_PID"), System.getenv("LISTEN_FDS"));
            ChannelSocket waiting = listener == null ? null : listener.accept();
            while (listener != null && waiting != null) {
                waiting.close();
                waiting = listener.accept();
            }
        } catch (IOException e) {
            log().debug("clients not turned away reason=\"{}\"", e.getMessage());
        }
    }

    private static Daemon create(DaemonOptions options) throws IOException {
        Configuration configuration = Configuration.read(options.config(), options.settings());
        Path home = directory("pve.oci.home", null);
        Path libraries = directory("pve.oci.libraries", home.resolve("native"));
        Path javaHome = Path.of(System.getProperty("java.home")).toRealPath();
        Path runtime = Path.of(options.workerSocket()).toAbsolutePath();
        AtomicLong window = new AtomicLong(zstdWindow(configuration));
        SandboxLauncher launcher = new SandboxLauncher(
                options.launcher(libraries), home, libraries, javaHome, options.workerOptions(), window::get);
        WorkerStarter starter = new WorkerStarter(launcher, runtime.toString());
        WorkerPool workers = new WorkerPool(starter, new WarmUp(new WarmUpImage()), limits(configuration));
        // first, because starting the worker's JVM takes longest: it starts beside all that follows
        workers.prepare(IdMaps.DEFAULT);
        starter.listen();
        LogProvider.setVerbose(configuration.isOn(Setting.VERBOSE));
        SocketFile listener = SocketFile.ofSystemd(System.getenv("LISTEN_PID"), System.getenv("LISTEN_FDS"));
        if (listener == null) {
            listener = SocketFile.listen(options.socket());
        }
        List<Path> protectedPaths = List.of(Path.of("/"), home, libraries, javaHome, runtime);
        Daemon daemon =
                new Daemon(listener, workers, settings(configuration, protectedPaths), SystemdNotifier.ofEnvironment());
        daemon.setIdleExit(configuration.value(Setting.IDLE_EXIT) * 1000);
        HangupSignal.handle(new Reload(options, configuration, read -> {
            window.set(zstdWindow(read));
            daemon.reload(settings(read, protectedPaths), limits(read), read.value(Setting.IDLE_EXIT) * 1000);
        }));
        return daemon;
    }

    private static long zstdWindow(Configuration configuration) {
        return 1L << configuration.value(Setting.ZSTD_WINDOW_LOG);
    }

    private static WorkerPool.Limits limits(Configuration configuration) {
        return new WorkerPool.Limits(
                configuration.number(Setting.SPARES), configuration.value(Setting.SPARE_IDLE) * 1000);
    }

    private static ServiceSettings settings(Configuration configuration, List<Path> protectedPaths) {
        return new ServiceSettings(
                subordinateIds(configuration, "/etc/subuid"),
                subordinateIds(configuration, "/etc/subgid"),
                configuration.number(Setting.JOBS),
                configuration.number(Setting.QUEUE),
                configuration.value(Setting.HANG) * 1000,
                ServiceSettings.DEFAULT_CLEAN_MILLIS,
                protectedPaths,
                configuration.workerOptions());
    }

    private static SubordinateIds subordinateIds(Configuration configuration, String file) {
        return configuration.isOn(Setting.ALLOW_ANY_ID_MAP)
                ? SubordinateIds.any()
                : SubordinateIds.ofFile(Path.of(file));
    }

    private static Path directory(String property, @Nullable Path otherwise) throws IOException {
        String value = System.getProperty(property);
        Path directory = value == null ? otherwise : Path.of(value);
        if (directory == null) {
            throw new IOException("system property " + property + " is not set");
        }
        return directory.toAbsolutePath();
    }
}
