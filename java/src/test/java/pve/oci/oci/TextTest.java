package pve.oci.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "etc/passwd|etc/passwd",
                "\u00e4\u20ac\ud83d\ude00|\u00e4\u20ac\ud83d\ude00",
                "`a\nb\tc`|a\\x0ab\\x09c",
                "`\u001b[31m`|\\x1b[31m",
                "a\\b|a\\x5cb",
                "a\u007f|a\\x7f",
                "a\u0085|a\\xc2\\x85",
                "a\u202eb|a\\xe2\\x80\\xaeb",
                "a\u2028b|a\\xe2\\x80\\xa8b",
            })
    void writes_what_a_terminal_or_a_log_would_act_on_as_bytes(String unsafe, String shown) {
        assertThat(Text.clean(unsafe)).isEqualTo(shown);
    }

    @Test
    void writes_bytes_that_are_not_utf_8_as_bytes() {
        assertThat(Text.clean("a\u00e4\u00ff".getBytes(ISO_8859_1))).isEqualTo("a\\xe4\\xff");
    }

    @Test
    void shortens_what_is_very_long() {
        assertThat(Text.clean("x".repeat(100_000))).hasSize(4203).endsWith("x...");
    }
}
