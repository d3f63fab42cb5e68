package pve.oci.oci;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.json.JsonLimits;

/** Index, manifest, config, layout and docker's manifest, as far as the conformance cases do not show them. */
class DocumentsTest {
    private static final String DIGEST = "sha256:" + "0".repeat(64);

    /** Without its closing brace, so that a test can add members. */
    private static final String DESCRIPTOR = """
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "DIGEST", "size": 3""";

    private static byte[] bytes(String json) {
        return json.replace("DESCRIPTOR", DESCRIPTOR).replace("DIGEST", DIGEST).getBytes(UTF_8);
    }

    @Test
    void reads_platform_and_annotations_of_a_descriptor() throws IOException {
        Descriptor descriptor =
                Index.parse(bytes("""
                                {"manifests":[DESCRIPTOR,"platform":{"architecture":"arm","variant":"v7"},\
                                "annotations":{"org.opencontainers.image.ref.name":"n",\
                                "x":null},"urls":[1]}]}"""), JsonLimits.DEFAULT).manifests().get(0);

        assertThat(descriptor.referenceName()).isEqualTo("n");
        assertThat(descriptor.platform()).hasToString("linux/arm/v7");
        assertThat(descriptor.role()).isEqualTo(MediaType.Role.MANIFEST);
        assertThat(descriptor.toJson()).containsOnlyKeys("mediaType", "digest", "size", "annotations");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            {"manifests":[DESCRIPTOR,"platform":[]}]}|/manifests/0/platform
            {"manifests":[DESCRIPTOR,"platform":{"architecture":1}}]}|/manifests/0/platform/architecture
            {"manifests":[DESCRIPTOR},{}]}|/manifests/1/mediaType
            {"manifests":[[]]}|/manifests
            {"mediaType":1,"manifests":[]}|/mediaType
            {"schemaVersion":1,"manifests":[]}|/schemaVersion
            {"schemaVersion":"2","manifests":[]}|/schemaVersion
            {"config":{},"manifests":[]}|/config
            """)
    void names_the_place_in_an_index(String json, String pointer) {
        assertThatThrownBy(() -> Index.parse(bytes(json), JsonLimits.DEFAULT))
                .isInstanceOfSatisfying(
                        ImageFormatException.class, e -> assertThat(e.pointer()).isEqualTo(pointer))
                .hasMessageEndingWith(" at " + pointer);
    }

    @ParameterizedTest
    @CsvSource({
        "amd64, amd64",
        "x86_64, amd64",
        "AArch64, arm64",
        "armhf, arm",
        "i686, 386",
        "ppc64el, ppc64le",
        "riscv64, riscv64",
        "'', ''"
    })
    void knows_other_spellings_of_architectures(String given, String expected) {
        assertThat(Platform.goArchitecture(given)).isEqualTo(expected);
    }

    @ParameterizedTest
    @CsvSource({
        "application/vnd.oci.image.layer.v1.tar, LAYER",
        "application/vnd.oci.image.layer.v1.tar+zstd, LAYER",
        "Application/VND.OCI.Image.Layer.v1.TAR+GZip; charset=x, LAYER",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip, LAYER",
        "application/vnd.docker.distribution.manifest.list.v2+json, INDEX",
        "application/vnd.docker.container.image.v1+json, CONFIG",
        "application/vnd.docker.distribution.manifest.v1+prettyjws, SCHEMA1",
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted, UNKNOWN",
        "application/vnd.oci.empty.v1+json, UNKNOWN",
        "'', UNKNOWN"
    })
    void knows_what_a_blob_is_by_its_media_type(String mediaType, MediaType.Role role) {
        assertThat(MediaType.role(mediaType)).isEqualTo(role);
    }

    @Test
    void takes_a_member_that_is_null_for_one_that_is_absent() throws IOException {
        byte[] json = bytes("""
                {"architecture":null,"config":{"Env":null,"Labels":null},"rootfs":null}""");
        ImageConfig config = ImageConfig.parse(json, JsonLimits.DEFAULT);

        assertThat(config.platform()).isNull();
        assertThat(config.diffIds()).isEmpty();
        assertThat(config.config()).containsOnlyKeys("Env", "Labels");
    }

    @ParameterizedTest
    @CsvSource({"1.0.0, true", "1.1.0, true", "1, false", "2.0.0, false", "10.0, false", "'', false"})
    void reads_layouts_of_version_one(String version, boolean isRead) {
        byte[] json = bytes("""
                {"imageLayoutVersion": "%s"}""".formatted(version));
        if (isRead) {
            assertThat(Objects.requireNonNull(catchNothing(json)).version()).isEqualTo(version);
        } else {
            assertThatThrownBy(() -> LayoutVersion.parse(json, JsonLimits.DEFAULT))
                    .hasMessageContaining("version");
        }
    }

    private static LayoutVersion catchNothing(byte[] json) {
        try {
            return LayoutVersion.parse(json, JsonLimits.DEFAULT);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            {}|not an array
            [1]|array of objects
            [{}]|missing Config at /0/Config
            [{"Config":"c","Layers":[1]}]|array of strings at /0/Layers
            [{"Config":"c","RepoTags":{}}]|array at /0/RepoTags
            """)
    void refuses_a_docker_manifest_of_other_types(String json, String reason) {
        assertThatThrownBy(() -> DockerManifest.parse(bytes(json), JsonLimits.DEFAULT))
                .isInstanceOf(ImageFormatException.class)
                .hasMessageContaining(reason);
    }
}
