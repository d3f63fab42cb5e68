package pve.oci.daemon;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.service.ServiceSettings;
import pve.oci.service.SubordinateIds;
import pve.oci.varlink.TestClient;

/** A daemon in this process, with workers that do as their archive says. */
final class DaemonFixture implements AutoCloseable {
    private static final String CLASS_PATH = System.getProperty("java.class.path");
    private static final String JAVA =
            Path.of(System.getProperty("java.home"), "bin", "java").toString();

    final Path directory;
    final String socket;
    final Daemon daemon;
    private final Thread thread;

    DaemonFixture(Path directory, long hangMillis, int running, int queued, int spares) throws IOException {
        this.directory = directory;
        this.socket = directory.resolve("run/socket").toString();
        ServiceSettings settings = new ServiceSettings(
                SubordinateIds.any(),
                SubordinateIds.any(),
                running,
                queued,
                hangMillis,
                20_000,
                List.of(directory.resolve("run")),
                Map.of());
        WorkerStarter starter = new WorkerStarter(
                (path, maps) -> List.of(
                        JAVA,
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "-Xshare:auto",
                        "-cp",
                        CLASS_PATH,
                        "pve.oci.daemon.FakeWorker",
                        path),
                directory.resolve("run/worker").toString());
        starter.listen();
        daemon = new Daemon(
                SocketFile.listen(socket),
                new WorkerPool(starter, null, new WorkerPool.Limits(spares, 600_000)),
                settings,
                new SystemdNotifier(null, null, null));
        thread = new Thread(
                () -> {
                    try {
                        daemon.run();
                    } catch (IOException e) {
                        throw new IllegalStateException(e);
                    }
                },
                "daemon");
        thread.start();
    }

    static DaemonFixture start(Path directory) throws IOException {
        return new DaemonFixture(directory, 20_000, 4, 4, 0);
    }

    TestClient connect() throws IOException {
        return TestClient.connect(socket);
    }

    /** An archive that makes the fake worker do these steps. */
    Path archive(String... steps) throws IOException {
        Path archive = Files.createTempFile(directory, "archive", ".tar");
        return Files.write(archive, List.of(steps));
    }

    Path root() throws IOException {
        return Files.createTempDirectory(directory, "root");
    }

    /** The reply to one DetectArchive. */
    @Nullable
    Map<String, @Nullable Object> detect(String... steps) throws IOException {
        try (TestClient client = connect()) {
            return client.call(
                    "io.pve.oci.DetectArchive",
                    Map.of("archivePath", archive(steps).toString()));
        }
    }

    static Map<String, Object> extraction(Path archive, Path root) {
        List<Map<String, Integer>> map = List.of(Map.of("inside", 0, "outside", 100000, "count", 65536));
        return Map.of(
                "archivePath", archive.toString(), "rootDirectory", root.toString(), "uidMap", map, "gidMap", map);
    }

    @Override
    public void close() {
        daemon.stop();
        try {
            thread.join(10_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
