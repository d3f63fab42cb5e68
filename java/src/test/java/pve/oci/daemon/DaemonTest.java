package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import pve.oci.json.Json;
import pve.oci.layer.LayerLimits;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.varlink.TestClient;
import pve.oci.varlink.Tree;
import pve.oci.worker.JobRequest;

/** The daemon as its clients see it, with workers that do what the test's archive says. */
class DaemonTest {
    @TempDir
    Path directory;

    private DaemonFixture daemon;

    @BeforeEach
    void start() throws Exception {
        daemon = DaemonFixture.start(directory);
    }

    @AfterEach
    void stop() {
        daemon.close();
    }

    private static Object parameter(@Nullable Object reply, String name) {
        return Tree.at(reply, "parameters", name);
    }

    @Test
    void answers_with_what_the_worker_found() throws Exception {
        Map<String, @Nullable Object> reply = daemon.detect(FakeReplies.DETECTED);
        assertThat(reply).isEqualTo(Map.of("parameters", Map.of("format", "ociArchive", "layoutVersion", "1.0.0")));
    }

    @Test
    void sends_request_and_detached_mount_to_the_worker() throws Exception {
        Path root = daemon.root();
        Path archive = daemon.archive(FakeReplies.existing(), "touch made", "echo");
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply =
                    client.call("io.pve.oci.ParseAndExtractImage", DaemonFixture.extraction(archive, root));
            assertThat(reply).doesNotContainKey("error");
            Object request = parameter(reply, "config");
            String method = String.valueOf(Tree.at(request, "method"));
            assertThat(method).isEqualTo("io.pve.oci.worker.ParseAndExtractImage");
            Map<String, @Nullable Object> parameters =
                    Json.asObject((Map<?, ?>) Objects.requireNonNull(Tree.at(request, "parameters")));
            assertThat(parameters)
                    .containsEntry("archiveFileDescriptor", 0L)
                    .containsEntry("rootDirectoryFileDescriptor", 1L)
                    .containsEntry("archiveName", archive.toString());
            // the other side of the contract understands it
            JobRequest understood = JobRequest.of(method, parameters);
            assertThat(understood.uids()).hasToString("0-65535");
            assertThat(understood.gids()).hasToString("0-65535");
            assertThat(understood.limits()).isEqualTo(LayerLimits.DEFAULT);
        }
        assertThat(root.resolve("made")).exists();
        assertThat(Files.getAttribute(root, "unix:uid")).isEqualTo(100000);
    }

    @Test
    void sends_job_then_progress_then_result_when_more_is_wanted() throws Exception {
        Path archive = daemon.archive(FakeReplies.existing(), "progress 5", "sleep 150", "progress 1", "echo");
        List<Map<String, @Nullable Object>> replies = new ArrayList<>();
        try (TestClient client = daemon.connect()) {
            client.send(TestClient.more(
                    "io.pve.oci.ParseAndExtractImage", DaemonFixture.extraction(archive, daemon.root())));
            Map<String, @Nullable Object> reply = client.receive();
            while (reply != null && Boolean.TRUE.equals(reply.get("continues"))) {
                replies.add(reply);
                reply = client.receive();
            }
            assertThat(parameter(reply, "result")).isNotNull();
        }
        assertThat(parameter(replies.get(0), "jobId")).isEqualTo("1");
        assertThat(replies).hasSizeBetween(2, 4);
        assertThat(parameter(replies.get(1), "progress")).isNotNull();
    }

    @Test
    void leaves_no_descriptor_and_no_process_behind() throws Exception {
        daemon.detect(FakeReplies.DETECTED);
        long before = descriptors();
        for (int i = 0; i < 3; i++) {
            daemon.detect(FakeReplies.DETECTED);
            daemon.detect("die");
            daemon.detect("say {}", """
                    say {"error": "x"}""");
        }
        for (int i = 0; i < 1000 && (descriptors() > before || livingChildren() > 0); i++) {
            Thread.sleep(20);
        }
        assertThat(descriptors()).isLessThanOrEqualTo(before);
        assertThat(livingChildren()).isZero();
    }

    private static long livingChildren() {
        return ProcessHandle.current().children().filter(ProcessHandle::isAlive).count();
    }

    private static long descriptors() throws Exception {
        try (var files = Files.list(Path.of("/proc/self/fd"))) {
            return files.count();
        }
    }

    @Test
    void takes_the_archive_by_descriptor() throws Exception {
        Path archive = daemon.archive(FakeReplies.DETECTED);
        try (TestClient client = daemon.connect();
                Fd fd = open(archive)) {
            assertThat(parameter(
                            client.call("io.pve.oci.DetectArchive", Map.of("archiveFileDescriptor", 0), fd), "format"))
                    .isEqualTo("ociArchive");
        }
    }

    @Test
    void refuses_descriptor_that_was_not_sent() throws Exception {
        try (TestClient client = daemon.connect()) {
            Map<String, @Nullable Object> reply =
                    client.call("io.pve.oci.DetectArchive", Map.of("archiveFileDescriptor", 0));
            assertThat(reply).containsEntry("error", "org.varlink.service.InvalidParameter");
            assertThat(parameter(reply, "parameter")).isEqualTo("archiveFileDescriptor");
        }
    }

    private static Fd open(Path path) throws Exception {
        CString name = CString.of(path.toString());
        return new Fd(Libc.openat(Libc.AT_FDCWD, name.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
    }
}
