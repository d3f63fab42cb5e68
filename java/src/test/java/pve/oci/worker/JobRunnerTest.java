package pve.oci.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.compress.ZstdFrames;
import pve.oci.conformance.ImageBuilder;
import pve.oci.linux.Fd;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.rootfs.TemporaryRoot;

class JobRunnerTest {
    private static final String IMAGE = """
                    {"layers":[{"entries":[["file","a","1"]],"compression":"gzip"},[["file","b","2"]]]}""";

    private final TemporaryRoot root;
    private final List<Map<String, @Nullable Object>> notices = new ArrayList<>();
    private List<String> descriptors = List.of();

    @TempDir
    private Path folder = Path.of("/");

    JobRunnerTest() throws IOException {
        root = new TemporaryRoot();
    }

    /** The files that descriptors of this process are open on, without those that the JVM opens by itself. */
    private static List<String> openDescriptors() throws IOException {
        List<String> targets = new ArrayList<>();
        try (var files = Files.list(Path.of("/proc/self/fd"))) {
            for (Path file : files.toList()) {
                try {
                    targets.add(Files.readSymbolicLink(file).toString());
                } catch (IOException e) {
                    // the descriptor of the listing itself
                }
            }
        }
        targets.removeIf(x ->
                x.matches(".*\\.(jar|so|class|jsa)|.*/target/.*|/dev/.*|/proc/.*|/sys/.*|(socket|pipe|anon_inode):.*"));
        targets.sort(null);
        return targets;
    }

    @BeforeEach
    void countDescriptors() throws IOException {
        run("detect", IMAGE, Map.of());
        descriptors = openDescriptors();
    }

    @AfterEach
    void leaves_no_descriptor_open() throws IOException {
        assertThat(openDescriptors()).isEqualTo(descriptors);
        root.close();
    }

    private Map<String, @Nullable Object> run(String action, String image, Map<String, ?> more) throws IOException {
        Path archive = folder.resolve("image.tar");
        Files.write(archive, ImageBuilder.build(image));
        return run(action, archive, more);
    }

    private Map<String, @Nullable Object> run(String action, Path archive, Map<String, ?> more) throws IOException {
        JobRequest.Action task = JobRequest.Action.valueOf(action.toUpperCase(Locale.ROOT));
        boolean hasRoot = task == JobRequest.Action.EXTRACT || task == JobRequest.Action.CLEAN;
        @Nullable Fd rootFd = hasRoot ? root.open() : null;
        @Nullable Fd archiveFd = task == JobRequest.Action.CLEAN ? null : TemporaryRoot.open(archive);
        return new JobRunner(Requests.of(task, more), notices::add).run(archiveFd, rootFd);
    }

    private static Map<?, ?> map(Map<?, ?> of, String name) {
        return (Map<?, ?>) Objects.requireNonNull(of.get(name));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            {"layers":[]}|{layoutVersion=1.0.0, format=ociArchive}
            {"layers":[],"outer":{"compression":"zstd"}}|{layoutVersion=1.0.0, format=ociArchive}
            {"layers":[],"outer":{"files":{"oci-layout":"x"}}}|{format=ociArchive}
            {"layers":[],"outer":{"files":{"oci-layout":null}}}|{format=ociArchive}
            {"outer":{"entries":[["file","manifest.json",""]]}}|{format=dockerArchive}
            {"outer":{"entries":[["dir","etc"]]}}|{format=tar}
            {"outer":{"entries":[]}}|{format=unknown}
            {"outer":{"bytes":"some text"}}|{format=unknown}
            {"outer":{"bytes":""}}|{format=unknown}
            {"layers":[],"outer":{"compression":"xz"}}|{format=unknown}
            """)
    void detects_what_an_archive_is(String image, String reply) throws IOException {
        assertThat(run("detect", image, Map.of())).hasToString(reply);
    }

    @Test
    void inspects_without_reading_layers() throws IOException {
        Map<String, @Nullable Object> reply = run("inspect", IMAGE, Map.of());

        assertThat(reply)
                .containsOnlyKeys(
                        "images", "manifest", "platform", "layers", "uncompressedSize", "config", "rawConfig");
        assertThat((List<?>) reply.get("layers"))
                .extracting(x -> ((Map<?, ?>) x).get("compression"))
                .asString()
                .isEqualTo("[gzip, none]");
        assertThat(reply.get("platform")).hasToString("{architecture=amd64, os=linux}");
    }

    @Test
    void verifies_every_blob() throws IOException {
        assertThat((List<?>) run("verify", IMAGE, Map.of()).get("verified")).hasSize(4);
        String damaged = IMAGE.substring(0, IMAGE.length() - 1) + """
                , "outer": {"files": {"#1": {"layer": [["file", "b", "3"]]}}}}""";
        assertThatThrownBy(() -> run("verify", damaged, Map.of()))
                .isInstanceOfSatisfying(
                        ImageException.class, e -> assertThat(e.error()).isEqualTo(ImageError.DIGEST_MISMATCH));
    }

    @Test
    void extracts_and_tells_first_what_was_there() throws IOException {
        root.shell("mkdir mnt");
        Map<String, @Nullable Object> reply = run("extract", IMAGE, Map.of());

        assertThat(root.shell("ls")).isEqualTo("a\nb\nmnt\n");
        assertThat(notices).hasSize(2).first().asString().contains("mnt");
        assertThat(notices.get(1)).isEqualTo(Map.of("config", Map.of("Cmd", List.of("/bin/true"))));
        assertThat(map(reply, "result").get("entriesWritten")).isEqualTo(2L);
        assertThat(map(reply, "result").get("bytesWritten")).isEqualTo(2L);
        assertThat(map(reply, "config").get("Cmd")).isEqualTo(List.of("/bin/true"));
    }

    @Test
    void result_says_which_image_was_extracted() throws IOException {
        String named = """
                {"layers": [], "patchDescriptor": {"/annotations": {"org.opencontainers.image.ref.name": "n:1"}}}""";

        Map<?, ?> result = map(run("extract", named, Map.of()), "result");

        assertThat(result.get("platform")).isEqualTo(Map.of("architecture", "amd64", "os", "linux"));
        assertThat(result.get("referenceName")).isEqualTo("n:1");
    }

    @Test
    void makes_devices_for_a_privileged_container() throws IOException {
        run("extract", """
                        {"layers":[[["char","n",[1,3],{"mode":"0666","uid":70000}],["block","b",\
                        [259,1048575]],["char","w",[0,0]]]]}""", Map.of());

        assertThat(root.shell("stat -c '%n %F %a %u %t:%T' *"))
                .isEqualTo("b block special file 644 0 103:fffff\nn character special file 666 70000 1:3\n");
    }

    @Test
    void leaves_the_root_directory_as_it_was_when_it_fails() throws IOException {
        root.shell("mkdir -p mnt/data lost+found; touch lost+found/x; chmod 2711 mnt; touch -d @5 mnt .");
        String before = root.shell("find . -printf '%p %m %u %Ts %i\\n' | sort");
        String image = """
                {"layers":[[["dir","mnt",{"mode":"0700"}],["file","mnt/data/f","1"],\
                ["dir","./",{"mtime":9}]],\
                [["file","x","1",{"uid":4294967295}]]]}""";

        assertThatThrownBy(() -> run("extract", image, Map.of())).hasMessageContaining("layer 2/2");
        assertThat(root.shell("find . -printf '%p %m %u %Ts %i\\n' | sort")).isEqualTo(before);
    }

    @Test
    void begins_anew_with_whiteouts_first_and_reports_it_once() throws IOException {
        Map<String, @Nullable Object> reply = run("extract", """
                        {"layers":[[["file","d/x","1"],["symlink","l","d"]],[["file","l/y","2"],\
                        ["file",".wh.l",""]]]}""", Map.of());

        assertThat(root.shell("find . | sort")).isEqualTo(".\n./d\n./d/x\n./l\n./l/y\n");
        assertThat(map(reply, "result").get("entriesWritten")).isEqualTo(3L);
        assertThat(map(reply, "result").get("whiteoutsApplied")).isEqualTo(1L);
        assertThat(notices).hasSize(2);
    }

    @Test
    void leaves_the_working_directory_where_it_was() throws IOException {
        Path before = Files.readSymbolicLink(Path.of("/proc/self/cwd"));
        run("extract", """
                        {"layers":[[["dir","d",{"mode":"2755"}],["fifo","d/p",\
                        {"xattrs":{"system.posix_acl_access":"x"}}]]]}""", Map.of());

        assertThat(root.path("d/p")).exists();
        assertThat(Files.readSymbolicLink(Path.of("/proc/self/cwd"))).isEqualTo(before);
    }

    @Test
    void refuses_a_root_directory_that_is_in_use() throws IOException {
        root.shell("mkdir etc; touch etc/passwd");

        assertThatThrownBy(() -> run("extract", IMAGE, Map.of()))
                .isInstanceOfSatisfying(
                        ImageException.class, e -> assertThat(e.error()).isEqualTo(ImageError.ROOT_DIRECTORY_NOT_EMPTY))
                .hasMessage("ARCHIVE: root directory is not empty: it holds etc/passwd;"
                        + " only lost+found and volumes mounted below it may hold anything but directories");
        assertThat(root.shell("ls")).isEqualTo("etc\n");
    }

    @Test
    void cleans_what_another_worker_has_left() throws IOException {
        root.shell("mkdir mnt");
        run("extract", IMAGE, Map.of());
        run(
                "clean",
                IMAGE,
                Map.of("existing", Objects.requireNonNull(notices.get(0).get("existing"))));

        assertThat(root.shell("ls")).isEqualTo("mnt\n");
    }

    /** A frame that wants a window of 256 MiB, in an archive that is compressed as a whole. */
    @Test
    void a_zstd_window_of_the_archive_has_the_limit_of_layers() throws IOException {
        byte[] content = ImageBuilder.build(IMAGE);
        Path archive = Files.write(folder.resolve("large-window.tar.zst"), ZstdFrames.withWindowLog(content, 28));

        assertThatThrownBy(() -> run("inspect", archive, Map.of()))
                .isInstanceOfSatisfying(ImageException.class, e -> {
                    assertThat(e.error()).isEqualTo(ImageError.LIMIT_EXCEEDED);
                    assertThat(e.parameters()).containsEntry("limit", "zstdWindowLog");
                    assertThat(e.parameters()).containsEntry("maximum", 27L);
                })
                .hasMessageContaining("window of a frame is too large")
                .hasMessageEndingWith("the limit is 27 (zstdWindowLog)");
        assertThat(run("inspect", archive, Map.of("limits", Map.of("zstdWindowLog", 28))))
                .containsKey("config");
    }

    @Test
    void takes_a_layout_in_a_directory() throws IOException {
        Path layout = Files.createDirectory(folder.resolve("layout"));
        Files.write(folder.resolve("image.tar"), ImageBuilder.build(IMAGE));
        root.shell("tar -xf " + folder + "/image.tar -C " + layout);
        run("extract", layout, Map.of());

        assertThat(root.shell("ls")).isEqualTo("a\nb\n");
    }

    @Test
    void follows_no_link_out_of_a_layout_directory() throws IOException {
        Path layout = Files.createDirectory(folder.resolve("layout"));
        Files.writeString(folder.resolve("secret"), """
                {"imageLayoutVersion":"1.0.0"}""");
        Files.createSymbolicLink(layout.resolve("oci-layout"), folder.resolve("secret"));
        Files.createSymbolicLink(layout.resolve("index.json"), Path.of("../secret"));

        assertThatThrownBy(() -> run("inspect", layout, Map.of())).isInstanceOf(ImageException.class);
        assertThat(run("detect", layout, Map.of()).get("layoutVersion")).isNull();
    }

    /** In a thread of its own: an open(2) that waits cannot be interrupted. */
    @Test
    @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void does_not_wait_for_a_fifo_in_a_layout_directory() throws IOException {
        Path layout = Files.createDirectory(folder.resolve("layout"));
        Files.writeString(layout.resolve("oci-layout"), """
                {"imageLayoutVersion": "1.0.0"}""");
        root.shell("mkfifo " + layout + "/index.json");

        assertThatThrownBy(() -> run("inspect", layout, Map.of())).hasMessageContaining("index.json");
    }
}
