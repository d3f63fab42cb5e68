package pve.oci.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;

/** How foreign text is shown. t/25-text.t tests PVE::OCI::Text with the same vectors. */
class TextTest {
    /** One vector, and how it is shown. */
    private record Vector(String unsafe, String shown) {}

    private static Stream<Vector> vectors(String kind, String member) throws IOException {
        try (InputStream in = TextTest.class.getResourceAsStream("/shown-text.json")) {
            byte[] json = Objects.requireNonNull(in).readAllBytes();
            return ((List<?>) Objects.requireNonNull(
                            Json.parseObject(json, JsonLimits.DEFAULT).get(kind)))
                    .stream()
                            .map(x -> Json.asObject((Map<?, ?>) Objects.requireNonNull(x)))
                            .map(x -> new Vector(String.valueOf(x.get(member)), String.valueOf(x.get("shown"))));
        }
    }

    @TestFactory
    Stream<DynamicTest> shows_texts_as_the_vectors_say() throws IOException {
        return vectors("texts", "unsafe")
                .map(x -> DynamicTest.dynamicTest("shown as: " + x.shown, () -> {
                    assertThat(Text.clean(x.unsafe)).isEqualTo(x.shown);
                    assertThat(Text.clean(x.shown)).isEqualTo(x.shown);
                }));
    }

    @TestFactory
    Stream<DynamicTest> shows_bytes_as_the_vectors_say() throws IOException {
        return vectors("bytes", "bytes")
                .map(x -> DynamicTest.dynamicTest(
                        x.unsafe,
                        () -> assertThat(Text.name(HexFormat.of().parseHex(x.unsafe)))
                                .isEqualTo(x.shown)));
    }

    @ParameterizedTest
    @CsvSource({"a\\b, a\\x5cb", "a\\x0a, a\\x5cx0a", "ä, ä"})
    void escapes_the_backslash_of_a_name(String name, String shown) {
        assertThat(Text.name(name)).isEqualTo(shown);
    }

    @Test
    void writes_half_of_a_surrogate_pair_as_a_question_mark() {
        assertThat(Text.clean("a\ud800b")).isEqualTo("a?b");
    }

    @Test
    void shortens_what_is_very_long() {
        assertThat(Text.clean("x".repeat(100_000))).hasSize(8195).endsWith("x...");
        assertThat(Text.name("x".repeat(100_000))).hasSize(4203).endsWith("x...");
    }
}
