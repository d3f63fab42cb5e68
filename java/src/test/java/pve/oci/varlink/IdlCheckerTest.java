package pve.oci.varlink;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class IdlCheckerTest {
    private static final Idl IDL = IdlParser.parse("""
            interface org.example.shop
            type Item (
              name: string,
              kind: ?(small, large),
              tags: []string,
              sizes: ?[string]int,
              parts: ?[]Item
            )
            method Put(item: Item, count: ?int, ratio: ?float, isNew: ?bool, extra: ?object) -> ()
            """);
    private static final Map<String, Object> ITEM =
            Map.of("name", "a", "kind", "small", "tags", List.of("b"), "sizes", Map.of("c", 1L));

    private static @Nullable String mismatch(Object value, String path) {
        return new IdlChecker(IDL).mismatch(IDL.method("Put").input(), value, path);
    }

    private static Map<String, @Nullable Object> item(String key, @Nullable Object value) {
        Map<String, @Nullable Object> item = new HashMap<>(ITEM);
        item.put(key, value);
        return Map.of("item", item);
    }

    private static Map<String, Object> beside(String key, Object value) {
        return Map.of("item", ITEM, key, value);
    }

    static List<Map<String, ?>> right() {
        return List.of(
                Map.of("item", ITEM),
                beside("count", 1),
                beside("count", -1L),
                beside("ratio", 0.5),
                beside("ratio", 1L),
                beside("isNew", true),
                beside("extra", Map.of("x", List.of())),
                item("kind", null),
                item("sizes", Map.of()),
                item("parts", List.of(ITEM, ITEM)));
    }

    @ParameterizedTest
    @MethodSource("right")
    void accepts_what_the_definition_says(Map<String, ?> value) {
        assertThat(mismatch(value, "")).isNull();
    }

    static List<List<Object>> wrong() {
        return List.of(
                List.of("item", Map.of()),
                List.of("item", Map.of("item", "a")),
                List.of("item", Map.of("item", List.of())),
                List.of("other", beside("other", 1L)),
                List.of("count", beside("count", 1.5)),
                List.of("count", beside("count", "1")),
                List.of("ratio", beside("ratio", "1")),
                List.of("isNew", beside("isNew", 1L)),
                List.of("isNew", beside("isNew", "true")),
                List.of("extra", beside("extra", List.of())),
                List.of("item.name", item("name", null)),
                List.of("item.name", item("name", 1L)),
                List.of("item.more", item("more", null)),
                List.of("item.kind", item("kind", "medium")),
                List.of("item.kind", item("kind", 1L)),
                List.of("item.tags", item("tags", Map.of())),
                List.of("item.tags[1]", item("tags", Arrays.asList("b", 3L))),
                List.of("item.tags[0]", item("tags", Arrays.asList(null, "b"))),
                List.of("item.sizes", item("sizes", List.of())),
                List.of("item.sizes[c]", item("sizes", Map.of("c", 1.5))),
                List.of("item.parts[1].tags", item("parts", List.of(ITEM, Map.of("name", "a")))));
    }

    @ParameterizedTest
    @MethodSource("wrong")
    void names_the_first_place_that_does_not_match(List<Object> expected) {
        assertThat(mismatch(expected.get(1), "")).isEqualTo(expected.get(0));
    }

    @Test
    void names_places_from_where_the_value_stands() {
        assertThat(mismatch(item("name", 1L), "error")).isEqualTo("error.item.name");
        assertThat(mismatch("no object", "error")).isEqualTo("error");
    }
}
