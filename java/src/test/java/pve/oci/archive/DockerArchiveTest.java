package pve.oci.archive;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.json.JsonLimits;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.NativeBuffer;
import pve.oci.tar.TarBuilder;

/** Archives of docker save, as different versions and other tools write them. */
class DockerArchiveTest {
    private static final int AT_FDCWD = -100;
    private static final byte[] LAYER = new TarBuilder().file("f", "x").build();

    @TempDir
    private Path folder = Path.of("/");

    private static String hash(byte[] bytes) {
        return DocumentReader.digest(bytes, "sha256").encoded();
    }

    private static byte[] config(int layers) {
        String diffIds = String.join("\", \"", Collections.nCopies(layers, "sha256:" + hash(LAYER)));
        String list = layers == 0 ? "" : '"' + diffIds + '"';
        return """
                {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [%s]}}
                """.formatted(list).getBytes(UTF_8);
    }

    private static byte[] manifest(String config, String tag, String... layers) {
        return """
                [{"Config": "%s", "RepoTags": ["%s"], "Layers": ["%s"]}]
                """.formatted(config, tag, String.join("\", \"", layers)).getBytes(UTF_8);
    }

    private Image select(byte[] archive, Selector selector) throws IOException {
        Path file = Files.write(folder.resolve("archive"), archive);
        CString name = CString.of(file.toString().getBytes(UTF_8));
        Fd fd = new Fd(Libc.openat(AT_FDCWD, name.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        try (ImageArchive open = ImageArchive.open(fd, JsonLimits.DEFAULT, 27)) {
            assertThat(open.format()).isEqualTo(ImageArchive.Format.DOCKER_ARCHIVE);
            Image image = open.images().select(selector);
            for (Layer layer : image.layers()) {
                assertContent(layer);
            }
            return image;
        }
    }

    private static void assertContent(Layer layer) throws IOException {
        NativeBuffer memory = NativeBuffer.allocate(LAYER.length + 10);
        try (BlobSource blob = layer.blob().open()) {
            assertThat(blob.size()).isEqualTo(LAYER.length);
            assertThat(blob.read(memory)).isEqualTo(LAYER.length);
        }
        byte[] bytes = new byte[LAYER.length];
        memory.buffer().get(0, bytes);
        assertThat(HexFormat.of().formatHex(bytes)).isEqualTo(HexFormat.of().formatHex(LAYER));
    }

    private static final Selector ANY = new Selector(null, "amd64", null, null);

    @Test
    void before_version_25_with_a_layer_that_is_a_link_to_an_equal_one() throws IOException {
        String first = "1".repeat(64);
        String second = "2".repeat(64);
        byte[] config = config(2);
        byte[] archive = new TarBuilder()
                .directory(first)
                .file(first + "/VERSION", "1.0")
                .file(first + "/json", "{}")
                .file(first + "/layer.tar", LAYER)
                .symlink(second + "/layer.tar", "../" + first + "/layer.tar")
                .file(hash(config) + ".json", config)
                .file(
                        "manifest.json",
                        manifest(hash(config) + ".json", "a:b", first + "/layer.tar", second + "/layer.tar"))
                .file("repositories", "{}")
                .build();

        Image image = select(archive, ANY);
        assertThat(image.layers()).hasSize(2);
        assertThat(image.manifest().referenceName()).isEqualTo("a:b");
    }

    @ParameterizedTest
    @ValueSource(strings = {"c.json", "sha256:x", "a/b/config", "blobs/sha256/x"})
    void of_other_tools_whatever_they_name_their_files(String name) throws IOException {
        byte[] archive = new TarBuilder()
                .file(name, config(1))
                .file("layers/001.tar.gz", LAYER)
                .file("manifest.json", manifest(name, "a:b", "layers/001.tar.gz"))
                .build();

        assertThat(select(archive, ANY).layers()).hasSize(1);
    }

    @Test
    void picks_an_image_by_its_name() throws IOException {
        byte[] archive =
                new TarBuilder().file("c", config(0)).file("manifest.json", """
                        [{"Config": "no", "RepoTags": ["x:1"]},
                        {"Config": "c", "RepoTags": ["y:1", "y:2"]}]""").build();

        assertThat(select(archive, new Selector("y:2", "amd64", null, null)).layers())
                .isEmpty();
        assertThatThrownBy(() -> select(archive, ANY)).hasMessageContaining("names the file 'no', which is missing");
    }

    @Test
    void a_layer_that_is_a_link_out_of_the_archive_is_missing() {
        byte[] archive = new TarBuilder()
                .file("c", config(1))
                .symlink("x/layer.tar", "../../../../etc/passwd")
                .file("manifest.json", manifest("c", "a:b", "x/layer.tar"))
                .build();

        assertThatThrownBy(() -> select(archive, ANY)).hasMessageContaining("'x/layer.tar', which is missing");
    }
}
