package pve.oci.varlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class IdlTest {
    private static final Idl IDL = IdlParser.parse("""
            # comment
            interface org.example.test
            type Kind (small, large)
            type Item (name: string, kind: ?Kind, tags: []string, sizes: ?[string]int)
            method Put(item: Item, ratio: ?float, isNew: ?bool, extra: ?object) -> ()
            error Full (inner: (code: int))
            """);

    @Test
    void reads_members() {
        assertThat(IDL.name()).isEqualTo("org.example.test");
        assertThat(IDL.types()).containsOnlyKeys("Kind", "Item");
        assertThat(IDL.methods()).containsOnlyKeys("Put");
        assertThat(IDL.errors()).containsOnlyKeys("Full");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "interface a",
                "interface org.x type",
                "interface org.x type a (b: int)",
                "interface org.x type A (b: Unknown)",
                "interface org.x type A (b: int) type A (c: int)",
                "interface org.x type A (b: int, b: int)",
                "interface org.x type A (b: int, c)",
                "interface org.x type A (b: ??int)",
                "interface org.x method A(b: int)",
                "interface org.x method A(b) -> ()",
                "interface org.x error A",
                "interface org.x something A ()"
            })
    void refuses_what_is_no_definition(String text) {
        assertThatThrownBy(() -> IdlParser.parse(text)).isInstanceOf(IllegalArgumentException.class);
    }

    static List<List<Object>> values() {
        Map<String, Object> item = Map.of("name", "a", "kind", "small", "tags", List.of("b"), "sizes", Map.of("c", 1L));
        return List.of(
                List.of("", Map.of("item", item)),
                List.of("", Map.of("item", item, "ratio", 0.5, "isNew", true, "extra", Map.of("x", List.of()))),
                List.of("item", Map.of()),
                List.of("other", Map.of("item", item, "other", 1L)),
                List.of("ratio", Map.of("item", item, "ratio", "1")),
                List.of("isNew", Map.of("item", item, "isNew", 1L)),
                List.of("extra", Map.of("item", item, "extra", List.of())),
                List.of("item.name", Map.of("item", with(item, "name", null))),
                List.of("item.kind", Map.of("item", with(item, "kind", "medium"))),
                List.of("", Map.of("item", with(item, "kind", null))),
                List.of("item.tags[1]", Map.of("item", with(item, "tags", Arrays.asList("b", 3L)))),
                List.of("item.sizes[c]", Map.of("item", with(item, "sizes", Map.of("c", 1.5)))));
    }

    private static Map<String, @Nullable Object> with(Map<String, Object> map, String key, @Nullable Object value) {
        Map<String, @Nullable Object> changed = new HashMap<>(map);
        changed.put(key, value);
        return changed;
    }

    @ParameterizedTest
    @MethodSource("values")
    void finds_the_first_mismatch(List<Object> expected) {
        String mismatch = new IdlChecker(IDL).mismatch(IDL.method("Put").input(), expected.get(1), "");
        assertThat(mismatch == null ? "" : mismatch).isEqualTo(expected.get(0));
    }
}
