package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.InstanceOfAssertFactories.MAP;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.varlink.TestClient;
import pve.oci.varlink.Tree;

/** Workers that fail or lie, clients that leave, and what the daemon does when it ends. */
@Timeout(60)
class DaemonFaultTest {
    private static final String EXTRACT = "io.pve.oci.ParseAndExtractImage";

    @TempDir
    Path directory;

    private DaemonFixture daemon;

    @BeforeEach
    void start() throws Exception {
        daemon = new DaemonFixture(directory, 6_000, 1, 1, 0);
    }

    @AfterEach
    void stop() {
        daemon.close();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            die                                                    | was killed by SIGKILL
            exit 3                                                 | left with exit status 3
            sleep 30000                                            | no sign of life
            say nonsense                                           | no valid reply
            say {"parameters":{"format":"x"}}                      | invalid reply: format
            say {"error":"io.pve.oci.Nope","parameters":{}}        | invalid reply: error
            flood 40000000                                         | larger than the limit
            """)
    void worker_that_fails_is_an_error_and_the_next_job_is_fine(String step, String message) throws Exception {
        Map<String, @Nullable Object> reply = daemon.detect(step);
        assertThat(Tree.at(reply, "error")).isEqualTo("io.pve.oci.WorkerFailed");
        assertThat(Tree.at(reply, "parameters", "message").toString()).contains(message);
        assertThat(daemon.detect(FakeReplies.DETECTED)).containsOnlyKeys("parameters");
    }

    @Test
    void errors_of_the_worker_pass() throws Exception {
        Map<String, @Nullable Object> reply = daemon.detect("""
                        say {"error": "io.pve.oci.BlobNotFound", "parameters": {"digest": "sha256:a", \
                        "message": "a line"}}""");
        assertThat(reply)
                .isEqualTo(Map.of(
                        "error",
                        "io.pve.oci.BlobNotFound",
                        "parameters",
                        Map.of("digest", "sha256:a", "message", "a line")));
    }

    @Test
    void what_a_dead_worker_made_is_removed_and_what_stood_there_stays() throws Exception {
        Path root = daemon.root();
        Files.createDirectory(root.resolve("lost+found"));
        Object owner = Files.getAttribute(root, "unix:uid");
        Path archive = daemon.archive(FakeReplies.existing("lost+found"), "touch made", "die");
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply = client.call(EXTRACT, DaemonFixture.extraction(archive, root));
            assertThat(Tree.at(reply, "error")).isEqualTo("io.pve.oci.WorkerFailed");
        }
        assertThat(root.resolve("made")).doesNotExist();
        assertThat(root.resolve("lost+found")).isDirectory();
        assertThat(Files.getAttribute(root, "unix:uid")).isEqualTo(owner);
    }

    /** Whatever the worker says last, and also when it reports a failure in the proper way. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            say {"error": "io.pve.oci.BlobNotFound", "parameters": {"digest": "d", "message": "m"}}
            say {"parameters": {}}
            say {"parameters": {"result": null, "config": {}}}
            say {"continues": true}
            die
            """)
    void a_fresh_worker_cleans_and_the_root_directory_is_given_back(String lastWord) throws Exception {
        Path root = daemon.root();
        Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwxr-x---"));
        Files.setLastModifiedTime(root, FileTime.fromMillis(5_000));
        Path archive = daemon.archive(FakeReplies.existing("made"), "touch made", "chmod rwxrwxrwx", lastWord);
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply = client.call(EXTRACT, DaemonFixture.extraction(archive, root));
            assertThat(reply).containsKey("error");
        }
        assertThat(root).isEmptyDirectory();
        assertThat(Files.getAttribute(root, "unix:uid")).isEqualTo(0);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(root)))
                .isEqualTo("rwxr-x---");
        assertThat(Files.getLastModifiedTime(root).toMillis()).isEqualTo(5_000);
    }

    /** It costs a client memory, so a worker cannot send it again and again. */
    @Test
    void the_configuration_comes_early_and_once() throws Exception {
        String config = """
                say {"parameters": {"config": {"User": "a"}}, "continues": true}""";
        Path archive = daemon.archive(config, config, "sleep 30000");
        try (TestClient client = daemon.connect()) {
            client.send(TestClient.more(EXTRACT, DaemonFixture.extraction(archive, daemon.root())));
            assertThat(Tree.at(client.receive(), "parameters"))
                    .asInstanceOf(MAP)
                    .containsKey("jobId");
            assertThat(Tree.at(client.receive(), "parameters")).isEqualTo(Map.of("config", Map.of("User", "a")));
            Map<String, @Nullable Object> last = client.receive();
            assertThat(Tree.at(last, "error")).isEqualTo("io.pve.oci.WorkerFailed");
            assertThat(Tree.at(last, "parameters", "message").toString()).contains("config twice");
        }
    }

    @Test
    void a_job_that_ends_before_it_runs_has_changed_nothing() throws Exception {
        Path root = daemon.root();
        Path waiting = daemon.root();
        Path slow = daemon.archive("sleep 30000");
        try (TestClient first = daemon.connect();
                TestClient second = daemon.connect();
                TestClient third = daemon.connect();
                TestClient other = daemon.connect()) {
            first.send(TestClient.more(EXTRACT, DaemonFixture.extraction(slow, root)));
            await(() -> jobs().size() == 1);
            Thread.sleep(50);
            second.send(TestClient.more(EXTRACT, DaemonFixture.extraction(slow, waiting)));
            String id = Tree.at(second.receive(), "parameters", "jobId").toString();
            Thread.sleep(50);
            Map<String, @Nullable Object> refused = third.call(EXTRACT, DaemonFixture.extraction(slow, daemon.root()));
            assertThat(Tree.at(refused, "error")).isEqualTo("io.pve.oci.TooManyJobs");
            other.call("io.pve.oci.CancelJob", Map.of("id", id));
            assertThat(Tree.at(second.receive(), "error")).isEqualTo("io.pve.oci.Cancelled");
            assertThat(Files.getAttribute(waiting, "unix:uid")).isEqualTo(0);
        }
    }

    @Test
    void refuses_a_second_job_on_the_same_directory_and_on_one_above_or_below() throws Exception {
        daemon.close();
        daemon = DaemonFixture.start(directory);
        Path root = daemon.root();
        Path below = Files.createDirectories(root.resolve("a/b"));
        Path link = Files.createSymbolicLink(directory.resolve("link"), root.resolve("a"));
        Path slow = daemon.archive("sleep 30000");
        try (TestClient first = daemon.connect();
                TestClient second = daemon.connect()) {
            first.send(TestClient.more(EXTRACT, DaemonFixture.extraction(slow, root.resolve("a"))));
            String id = Tree.at(first.receive(), "parameters", "jobId").toString();
            Map<Path, String> where = Map.of(
                    root.resolve("a"),
                    "into it",
                    link,
                    "into it",
                    below,
                    "into a directory above it",
                    root,
                    "into a directory below it");
            where.forEach((path, words) -> {
                Map<String, @Nullable Object> reply = call(second, DaemonFixture.extraction(slow, path));
                assertThat(Tree.at(reply, "error")).isEqualTo("io.pve.oci.RootDirectoryInUse");
                assertThat(Tree.at(reply, "parameters", "message"))
                        .isEqualTo("root directory " + path + " is in use: job " + id + " extracts " + words);
            });
        }
        await(() -> jobs().isEmpty());
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply = client.call(
                    EXTRACT, DaemonFixture.extraction(daemon.archive(FakeReplies.DETECTED), root.resolve("a")));
            assertThat(Tree.at(reply, "error")).isEqualTo("io.pve.oci.WorkerFailed");
        }
    }

    @Test
    void a_worker_that_never_stops_talking_is_ended_and_the_clients_end_is_seen() throws Exception {
        String event = FakeReplies.progress(1);
        Map<String, @Nullable Object> reply = extract(daemon.archive("repeat " + event), daemon.root());
        assertThat(Tree.at(reply, "parameters", "message")).isEqualTo("worker sends more than 100 events a second");
    }

    private Map<String, @Nullable Object> extract(Path archive, Path root) throws IOException {
        try (TestClient client = daemon.connect()) {
            return call(client, DaemonFixture.extraction(archive, root));
        }
    }

    private static Map<String, @Nullable Object> call(TestClient client, Map<String, Object> parameters) {
        try {
            return Objects.requireNonNull(client.call(EXTRACT, parameters));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void ending_the_sending_side_cancels_and_cleans_before_the_daemon_hangs_up() throws Exception {
        Path root = daemon.root();
        Path archive = daemon.archive(FakeReplies.existing(), "touch made", "progress 1", "sleep 30000");
        try (TestClient client = daemon.connect()) {
            client.send(TestClient.more(EXTRACT, DaemonFixture.extraction(archive, root)));
            await(() -> Files.exists(root.resolve("made")));
            client.endSending();
            Map<String, @Nullable Object> reply = client.receive();
            while (reply != null && Boolean.TRUE.equals(reply.get("continues"))) {
                reply = client.receive();
            }
            assertThat(Tree.at(reply, "error")).isEqualTo("io.pve.oci.Cancelled");
            assertThat(root.resolve("made")).doesNotExist();
            assertThat(client.receive()).isNull();
        }
    }

    @Test
    void a_client_that_is_gone_has_its_job_ended_and_nothing_held_for_cleaning() throws Exception {
        Path root = daemon.root();
        Path archive = daemon.archive(FakeReplies.existing(), "touch made", "progress 1", "sleep 30000");
        try (TestClient client = daemon.connect()) {
            client.send(TestClient.more(EXTRACT, DaemonFixture.extraction(archive, root)));
            await(() -> Files.exists(root.resolve("made")));
        }
        await(() -> jobs().isEmpty());
        assertThat(root.resolve("made")).exists();
        assertThat(ProcessHandle.current().children().filter(ProcessHandle::isAlive))
                .isEmpty();
    }

    @Test
    void another_connection_sees_and_cancels_the_job() throws Exception {
        Path archive = daemon.archive(FakeReplies.existing(), "progress 1", "sleep 30000");
        try (TestClient client = daemon.connect();
                TestClient other = daemon.connect()) {
            client.send(TestClient.more(EXTRACT, DaemonFixture.extraction(archive, daemon.root())));
            String id = Tree.at(client.receive(), "parameters", "jobId").toString();
            assertThat(client.receive()).isNotNull();
            assertThat(Tree.at(jobs().get(0), "id")).isEqualTo(id);
            assertThat(other.call("io.pve.oci.CancelJob", Map.of("id", id))).containsOnlyKeys("parameters");
            Map<String, @Nullable Object> last = client.receive();
            while (last != null && last.containsKey("continues")) {
                last = client.receive(); // a sign of life while the daemon cleans up
            }
            assertThat(Tree.at(last, "error")).isEqualTo("io.pve.oci.Cancelled");
            assertThat(Tree.at(other.call("io.pve.oci.CancelJob", Map.of("id", id)), "error"))
                    .isEqualTo("io.pve.oci.NoSuchJob");
        }
    }

    @Test
    void jobs_beyond_the_bound_wait_and_those_beyond_the_queue_are_refused() throws Exception {
        Path slow = daemon.archive("sleep 1000", FakeReplies.DETECTED);
        try (TestClient first = daemon.connect();
                TestClient second = daemon.connect();
                TestClient third = daemon.connect()) {
            Map<String, Object> call =
                    Map.of("method", "io.pve.oci.DetectArchive", "parameters", Map.of("archivePath", slow.toString()));
            first.send(call);
            await(() -> jobs().size() == 1);
            Thread.sleep(50);
            second.send(call);
            await(() -> jobs().size() == 2);
            Thread.sleep(50);
            third.send(call);
            assertThat(Tree.at(third.receive(), "error")).isEqualTo("io.pve.oci.TooManyJobs");
            assertThat(first.receive()).containsOnlyKeys("parameters");
            assertThat(second.receive()).containsOnlyKeys("parameters");
        }
    }

    @Test
    void stopping_ends_jobs_with_an_error_and_leaves_no_socket() throws Exception {
        Path archive = daemon.archive("sleep 30000");
        try (TestClient client = daemon.connect();
                TestClient idle = daemon.connect()) {
            client.send(Map.of(
                    "method", "io.pve.oci.DetectArchive", "parameters", Map.of("archivePath", archive.toString())));
            await(() -> jobs().size() == 1);
            long started = System.nanoTime();
            daemon.close();
            assertThat(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - started))
                    .isLessThan(3_000);
            assertThat(Tree.at(client.receive(), "error")).isEqualTo("io.pve.oci.ShuttingDown");
            assertThat(idle.receive()).isNull();
        }
        assertThat(Path.of(daemon.socket)).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource({
        "{root}/file/,       io.pve.oci.SystemError",
        "/,                  io.pve.oci.InvalidArgument",
        "{directory},        io.pve.oci.InvalidArgument",
        "relative,           io.pve.oci.InvalidArgument",
        "/no/such/directory, io.pve.oci.SystemError",
        "{full},             io.pve.oci.RootDirectoryNotEmpty",
    })
    void refuses_root_directory(String rootDirectory, String error) throws Exception {
        Path full = daemon.root();
        Files.createFile(Files.createDirectory(full.resolve("sub")).resolve("file"));
        String name = rootDirectory
                .replace("{root}", full.resolve("sub").toString())
                .replace("{directory}", directory.toString())
                .replace("{full}", full.toString());
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply =
                    client.call(EXTRACT, DaemonFixture.extraction(daemon.archive("echo"), Path.of(name)));
            assertThat(Tree.at(reply, "error")).isEqualTo(error);
        }
    }

    @Test
    void refuses_archive_that_is_no_file() throws Exception {
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> missing =
                    client.call("io.pve.oci.DetectArchive", Map.of("archivePath", "/no/such/file"));
            assertThat(Tree.at(missing, "parameters", "message"))
                    .isEqualTo("cannot open /no/such/file: No such file or directory (ENOENT)");
            Map<String, @Nullable Object> reply =
                    client.call("io.pve.oci.DetectArchive", Map.of("archivePath", "/dev/null"));
            assertThat(Tree.at(reply, "parameters", "message"))
                    .isEqualTo("/dev/null is a device: neither a regular file nor a directory");
            assertThat(Tree.at(client.call("io.pve.oci.DetectArchive", Map.of()), "parameters", "parameter"))
                    .isEqualTo("archivePath");
        }
    }

    private List<?> jobs() {
        try (TestClient client = daemon.connect()) {
            return (List<?>) Tree.at(client.call("io.pve.oci.ListJobs", Map.of()), "parameters", "jobs");
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private interface Condition {
        boolean holds();
    }

    private static void await(Condition condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (!condition.holds()) {
            assertThat(System.nanoTime()).isLessThan(deadline);
            Thread.sleep(10);
        }
    }
}
