package pve.oci.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;

/** What is shown of foreign text. t/25-text.t holds PVE::OCI::Text to the same vectors. */
class TextTest {
    private static Map<?, ?> vectors() throws IOException {
        try (InputStream in = TextTest.class.getResourceAsStream("/shown-text.json")) {
            return Json.parseObject(java.util.Objects.requireNonNull(in).readAllBytes(), JsonLimits.DEFAULT);
        }
    }

    @TestFactory
    List<DynamicTest> shows_texts_as_the_vectors_say() throws IOException {
        return ((List<?>) vectors().get("texts"))
                .stream()
                        .map(x -> {
                            String unsafe = (String) ((Map<?, ?>) x).get("unsafe");
                            Object shown = ((Map<?, ?>) x).get("shown");
                            return DynamicTest.dynamicTest("shown as: " + shown, () -> {
                                assertThat(Text.clean(unsafe)).isEqualTo(shown);
                                assertThat(Text.clean(Text.clean(unsafe))).isEqualTo(shown);
                            });
                        })
                        .toList();
    }

    @TestFactory
    List<DynamicTest> shows_bytes_as_the_vectors_say() throws IOException {
        return ((List<?>) vectors().get("bytes"))
                .stream()
                        .map(x -> {
                            String hex = (String) ((Map<?, ?>) x).get("bytes");
                            return DynamicTest.dynamicTest(
                                    hex,
                                    () -> assertThat(Text.name(HexFormat.of().parseHex(hex)))
                                            .isEqualTo(((Map<?, ?>) x).get("shown")));
                        })
                        .toList();
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
