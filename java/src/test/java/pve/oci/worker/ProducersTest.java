package pve.oci.worker;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.conformance.ImageBuilder;
import pve.oci.rootfs.TemporaryRoot;
import pve.oci.tar.TarBuilder;

/** Archives as other programs write them, with their names, links, compression and spelling. */
class ProducersTest {
    private static final byte[] LAYER =
            new TarBuilder().file("f", "x".repeat(3000)).build();
    private static final String CONFIG = """
            {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
             "rootfs": {"type": "layers", "diff_ids": ["sha256:LAYER"]}}
            """.replace("LAYER", hash(LAYER));
    private static final String MANIFEST = """
            [{"Config": "c.json", "RepoTags": ["a:1", "a:2"], "Layers": ["NAME"]}]
            """;

    @TempDir
    private Path folder = Path.of("/");

    private static String hash(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] compress(byte[] bytes, String how) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        switch (how) {
            case "gzip" -> {
                try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
                    gzip.write(bytes);
                }
            }
            case "zstd" -> out.writeBytes(Zstd.compress(bytes, 3));
            default -> out.writeBytes(bytes);
        }
        return out.toByteArray();
    }

    private Map<String, @Nullable Object> run(String action, byte[] archive, Map<String, ?> selector)
            throws IOException {
        Path file = Files.write(folder.resolve("archive"), archive);
        Map<String, Object> wanted = new LinkedHashMap<>(selector);
        wanted.put("architecture", "amd64");
        JobRequest.Action task = JobRequest.Action.valueOf(action.toUpperCase(Locale.ROOT));
        JobRequest request =
                Requests.of(task, task == JobRequest.Action.DETECT ? Map.of() : Map.of("selector", wanted));
        return new JobRunner(request, x -> {}).run(TemporaryRoot.open(file), null);
    }

    /** Detected as an image, inspected, and verified to the last byte. */
    private Map<String, @Nullable Object> check(byte[] archive) throws IOException {
        assertThat(String.valueOf(run("detect", archive, Map.of()).get("format")))
                .endsWith("Archive");
        assertThat((List<?>) run("verify", archive, Map.of()).get("verified")).hasSize(3);
        return run("inspect", archive, Map.of());
    }

    private List<?> layers(byte[] archive, String name) throws IOException {
        return (List<?>) Objects.requireNonNull(
                run("inspect", archive, Map.of("referenceName", name)).get("layers"));
    }

    private static Map<?, ?> layer(Map<String, @Nullable Object> inspected) {
        return (Map<?, ?>) ((List<?>) Objects.requireNonNull(inspected.get("layers"))).get(0);
    }

    private static TarBuilder docker(String layerName) {
        return new TarBuilder().file("c.json", CONFIG).file("manifest.json", MANIFEST.replace("NAME", layerName));
    }

    @ParameterizedTest
    @CsvSource({"none, none", "gzip, none", "zstd, none", "none, gzip", "gzip, gzip", "zstd, gzip", "gzip, zstd"})
    void layers_of_docker_archives_may_be_compressed(String inner, String outer) throws IOException {
        byte[] blob = compress(LAYER, inner);
        byte[] archive = compress(docker("l").file("l", blob).build(), outer);

        Map<String, @Nullable Object> inspected = check(archive);
        assertThat(layer(inspected).get("compression")).isEqualTo(inner);
        boolean isKnown = !inner.equals("gzip") || outer.equals("none");
        assertThat(layer(inspected).get("uncompressedSize")).isEqualTo(isKnown ? (Object) (long) LAYER.length : null);
        assertThat(inspected.get("uncompressedSize")).isEqualTo(isKnown ? (Object) (long) LAYER.length : null);
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "gzip", "zstd"})
    void a_docker_layer_that_is_not_its_diff_id_is_refused(String compression) throws IOException {
        byte[] blob = compress(new TarBuilder().file("f", "other").build(), compression);

        assertThatThrownBy(() -> run("verify", docker("l").file("l", blob).build(), Map.of()))
                .hasMessageContaining("uncompressed content has the digest");
    }

    @ParameterizedTest
    @CsvSource({"/l.tar, l.tar", "./l.tar, l.tar", "l.tar, ./l.tar", "a//b/../l.tar, a/l.tar", "../l.tar, /l.tar"})
    void names_in_docker_manifests_are_cleaned(String named, String stored) throws IOException {
        check(docker(named).file(stored, LAYER).build());
    }

    @ParameterizedTest
    @CsvSource({
        "A/layer.tar, ../B/layer.tar, B/layer.tar",
        "A/layer.tar, ../../B/layer.tar, B/layer.tar",
        "A/layer.tar, /B/layer.tar, B/layer.tar",
        "A/layer.tar, ../../../../x, x",
        "A, B, B/layer.tar",
        "A, ./B/, B/layer.tar",
    })
    void links_are_resolved_in_the_archive(String link, String target, String stored) throws IOException {
        check(docker("A/layer.tar").file(stored, LAYER).symlink(link, target).build());
        check(docker("A/layer.tar").symlink(link, target).file(stored, LAYER).build());
    }

    @Test
    void hard_links_and_chains_are_resolved() throws IOException {
        check(docker("l").file("x", LAYER).hardLink("l", "x").build());
        check(docker("l")
                .file("x", LAYER)
                .hardLink("y", "./x")
                .symlink("l", "d/../y")
                .build());
    }

    @ParameterizedTest
    @CsvSource({"l, l", "l, x", "l, /etc/passwd", "l, l/l", "l, .", "l, ''"})
    void links_to_nothing_are_missing_files(String link, String target) {
        assertThatThrownBy(() -> run("verify", docker("l").symlink(link, target).build(), Map.of()))
                .hasMessageContaining("'l', which is missing");
    }

    @Test
    void an_empty_name_is_an_error_that_says_where() {
        assertThatThrownBy(() -> run("verify", docker("").build(), Map.of()))
                .hasMessageContaining("manifest.json: docker manifest has an empty string")
                .hasMessageEndingWith(" at /0/Layers/0");
    }

    @Test
    void keys_may_have_any_case_but_not_two() throws IOException {
        String lower = MANIFEST.replace("NAME", "l")
                .replace("Config", "config")
                .replace("RepoTags", "repoTags")
                .replace("Layers", "LAYERS");
        String config = CONFIG.replace("rootfs", "rootfS")
                .replace("diff_ids", "Diff_Ids")
                .replace("Cmd", "cmd")
                .replace("architecture", "Architecture");
        TarBuilder tar = new TarBuilder().file("c.json", config).file("l", LAYER);
        Map<String, @Nullable Object> inspected =
                check(tar.file("manifest.json", lower).build());
        assertThat(inspected.get("config")).hasToString("{Cmd=[x]}");

        String both = lower.replace("\"config\"", """
                "Config": "c.json", "config\"""");
        assertThatThrownBy(() -> run(
                        "verify", new TarBuilder().file("manifest.json", both).build(), Map.of()))
                .hasMessageContaining("'Config' and 'config' differ only in case at /0/Config");
    }

    @Test
    void images_are_chosen_by_any_of_their_names() throws IOException {
        String two = """
                [{"Config": "c.json", "RepoTags": ["a:1", "a:2"], "Layers": ["l"]},
                 {"Config": "d.json", "RepoTags": ["b:1"], "Layers": []}]
                """;
        byte[] archive = new TarBuilder()
                .file("c.json", CONFIG)
                .file("d.json", """
                        {"architecture":"amd64","rootfs":{"diff_ids":[]}}""")
                .file("l", LAYER)
                .file("manifest.json", two)
                .build();

        assertThat((List<?>) run("inspect", archive, Map.of()).get("images")).hasSize(3);
        assertThat(layers(archive, "a:2")).hasSize(1);
        assertThat(layers(archive, "b:1")).isEmpty();
        assertThatThrownBy(() -> run("inspect", archive, Map.of("referenceName", "c:1")))
                .hasMessageContaining(
                        "it has linux/amd64 named 'a:1', linux/amd64 named 'a:2', linux/amd64 named 'b:1'");
    }

    @Test
    void images_of_layouts_are_chosen_by_their_names() throws IOException {
        byte[] archive = ImageBuilder.build("""
                {"images": {"a": {"layers": [[["file", "a", "1"]]]}, "b": {"layers": []}},
                 "index": [
                    {"image": "a", "annotations": {"org.opencontainers.image.ref.name": "one"}},
                    {"image": "a", "annotations": {"org.opencontainers.image.ref.name": "two"}},
                    {"index": [{"image": "b"}], "mediaType": "application/vnd.oci.image.index.v1+json",
                     "annotations": {"org.opencontainers.image.ref.name": "latest",
                                     "io.containerd.image.name": "docker.io/library/b:latest"}}]}
                """);

        for (String name : List.of("latest", "b:latest", "docker.io/library/b:latest")) {
            assertThat(layers(archive, name)).isEmpty();
        }
        assertThat(layers(archive, "two")).hasSize(1);
        assertThatThrownBy(() -> run("inspect", archive, Map.of("referenceName", "three")))
                .hasMessageContaining("named 'one', linux/amd64 named 'two', linux/amd64 named 'latest'");
    }

    /** A layout of one image, each of its files added by {@code add}. */
    private static byte[] layout(Adder add) {
        String manifest = """
                {"schemaVersion": 2, "config":
                    {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:C", "size": SIZE},
                 "layers": [
                    {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:L", "size": LENGTH}]}
                """.replace("sha256:C", "sha256:" + hash(CONFIG.getBytes(UTF_8)))
                .replace("SIZE", "" + CONFIG.length())
                .replace("sha256:L", "sha256:" + hash(LAYER))
                .replace("LENGTH", "" + LAYER.length);
        String index = """
                {"schemaVersion": 2, "manifests":
                    [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:M", "size": SIZE}]}
                """.replace("sha256:M", "sha256:" + hash(manifest.getBytes(UTF_8)))
                .replace("SIZE", "" + manifest.length());
        TarBuilder tar = new TarBuilder();
        add.add(tar, "oci-layout", """
                {"imageLayoutVersion":"1.0.0"}""".getBytes(UTF_8));
        add.add(tar, "index.json", index.getBytes(UTF_8));
        for (byte[] blob : List.of(manifest.getBytes(UTF_8), CONFIG.getBytes(UTF_8), LAYER)) {
            add.add(tar, "blobs/sha256/" + hash(blob), blob);
        }
        return tar.build();
    }

    private interface Adder {
        void add(TarBuilder tar, String name, byte[] content);
    }

    @Test
    void members_of_layouts_may_be_links() throws IOException {
        check(layout((tar, name, content) -> tar.file("pool/" + hash(content), content)
                .symlink(name, "../".repeat(name.split("/", -1).length - 1) + "pool/" + hash(content))));
        check(layout((tar, name, content) ->
                tar.file("pool/" + hash(content), content).hardLink(name, "pool/" + hash(content))));
        check(layout((tar, name, content) ->
                tar.file(name.replace("blobs/", "real/"), content).symlink("blobs", "real")));
        check(layout((tar, name, content) ->
                tar.symlink("blobs/sha256", "/real/./x/..").file(name.replace("blobs/sha256/", "real/"), content)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"V", "D"})
    void records_of_gnu_tar_are_passed_over(String type) throws IOException {
        byte[] content = type.equals("D") ? "Yoci-layout\0".getBytes(UTF_8) : new byte[0];
        byte[] archive =
                layout((tar, name, bytes) -> tar.entry(type.charAt(0), "label".getBytes(UTF_8), new byte[0], content)
                        .file(name, bytes));
        check(archive);
        check(compress(archive, "gzip"));
    }

    @Test
    void a_directory_of_skopeo_is_named_as_what_it_is() throws IOException {
        byte[] archive = new TarBuilder()
                .file("manifest.json", """
                        {"schemaVersion":2}""")
                .file("version", "Directory Transport Version: 1.1\n")
                .build();

        assertThat(run("detect", archive, Map.of())).hasToString("{format=tar}");
        assertThatThrownBy(() -> run("inspect", archive, Map.of())).hasMessageContaining("skopeo's transport dir:");
    }

    @ParameterizedTest
    @CsvSource({"fd377a585a000004, xz", "425a6839314159265359, bzip2"})
    void other_compressions_are_errors_that_say_what_to_do(String start, String program) {
        byte[] archive =
                HexFormat.of().formatHex("x".repeat(600).getBytes(UTF_8)).getBytes(UTF_8);
        byte[] magic = HexFormat.of().parseHex(start);
        System.arraycopy(magic, 0, archive, 0, magic.length);

        assertThatThrownBy(() -> run("inspect", archive, Map.of()))
                .hasMessageContaining("not an image archive: it is in the format " + program)
                .hasMessageContaining("decompress it with '" + program + " -d'");
    }

    @Test
    void a_directory_without_a_layout_is_unknown() throws IOException {
        Path directory = Files.createDirectory(folder.resolve("directory"));
        JobRequest request = Requests.of(JobRequest.Action.DETECT, Map.of());

        assertThat(new JobRunner(request, x -> {}).run(TemporaryRoot.open(directory), null))
                .hasToString("{format=unknown}");
    }
}
