package pve.oci.json;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static final JsonLimits SMALL = new JsonLimits(3, 100, 10);

    private static @Nullable Object parse(String text) throws JsonFormatException {
        return Json.parse(text.getBytes(UTF_8), JsonLimits.DEFAULT);
    }

    @Test
    void gives_plain_collections_in_the_order_of_the_document() throws JsonFormatException {
        Object value = parse("""
                {"z":[1,-2.5,true,false,null,"t"],"a":{},"b":9223372036854775808}""");

        Map<String, @Nullable Object> expected = new LinkedHashMap<>();
        expected.put("z", Arrays.asList(1L, -2.5, true, false, null, "t"));
        expected.put("a", Map.of());
        expected.put("b", new BigInteger("9223372036854775808"));
        assertThat(value).isEqualTo(expected).hasToString(expected.toString());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            {"a":1,"a":2}|Duplicate field 'a'
            {"a":{"b":1,"b":2}}|Duplicate field 'b'
            {} x|Unrecognized token
            {}{}|more after its end
            `   `|JSON is empty
            [1,]|Unexpected character
            [01]|Leading zeroes
            [+1]|plus sign
            [.5]|Unexpected character
            [NaN]|NaN
            [1e999]|out of the range
            [-2.5e308]|out of the range
            ['a']|Unexpected character
            {a:1}|Unexpected character
            [1 /* x */]|comment
            ["\\ud800"]|half of a surrogate pair
            ["\\udc00\\ud800"]|half of a surrogate pair
            {"\\ud800":1}|surrogate pair
            ["a|end-of-input
            [1|end-of-input
            {"a"|end-of-input
            `\ufeff{}`|Unexpected character
            """)
    void refuses_what_is_not_exactly_one_value(String text, String reason) {
        assertThatThrownBy(() -> parse(text))
                .isInstanceOf(JsonFormatException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void takes_a_surrogate_pair_for_one_character() throws JsonFormatException {
        assertThat(parse("""
                "\\ud83d\\ude00"
                """)).isEqualTo("\ud83d\ude00");
    }

    @ParameterizedTest
    @ValueSource(strings = {"c0af", "eda080", "f8808080", "80", "e2", "ff", "fe00", "7b00"})
    void refuses_malformed_utf_8_and_other_encodings(String hex) {
        byte[] bytes = java.util.HexFormat.of().parseHex(hex);

        assertThatThrownBy(() -> Json.parse(bytes, JsonLimits.DEFAULT)).isInstanceOf(JsonFormatException.class);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            [[[[1]]]]|JSON nests too deep: the limit is 3
            [1,2,3,4,5,6,7,8,9,0]|JSON holds too many values: the limit is 10
            ["01234567890123456789012345678901234567890123456789\
            01234567890123456789012345678901234567890123456789"]|JSON is too large: the limit is 100
            """)
    void refuses_what_is_beyond_the_limits(String text, String reason) {
        assertThatThrownBy(() -> Json.parse(text.getBytes(UTF_8), SMALL))
                .isInstanceOf(JsonFormatException.class)
                .hasMessageContaining(reason);
    }

    @Test
    void accepts_what_just_fits_the_limits() throws JsonFormatException {
        assertThat(Json.parse("[[[1]],2,3,4,5,6,7]".getBytes(UTF_8), SMALL)).isInstanceOf(List.class);
    }

    @Test
    void refuses_a_very_deep_document_without_a_stack_overflow() {
        assertThatThrownBy(() -> parse("[".repeat(1_000_000))).isInstanceOf(JsonFormatException.class);
    }

    @Test
    void refuses_a_number_of_a_million_digits() {
        assertThatThrownBy(() -> parse("1".repeat(1_000_000))).isInstanceOf(JsonFormatException.class);
    }

    @Test
    void refuses_another_value_where_an_object_is_wanted() {
        assertThatThrownBy(() -> Json.parseObject("[]".getBytes(UTF_8), JsonLimits.DEFAULT))
                .hasMessage("JSON is not an object");
    }

    @Test
    void writes_what_it_reads() throws JsonFormatException {
        String text = """
                {"a":[1,2.5,"\\n\\u0000\u00e4\ud83d\ude00",null,true],"b":123456789012345678901234567890}""";

        assertThat(Json.parse(Json.write(parse(text)), JsonLimits.DEFAULT)).isEqualTo(parse(text));
    }
}
