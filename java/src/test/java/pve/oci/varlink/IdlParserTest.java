package pve.oci.varlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IdlParserTest {
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

    @Test
    void a_resource_is_read_from_its_copy_in_the_home_directory(@TempDir Path home) throws IOException {
        assertThat(IdlParser.ofResource("/io.pve.oci.worker.varlink").types()).isNotEmpty();
        Files.createDirectory(home.resolve("classes"));
        Files.writeString(home.resolve("classes/copy.varlink"), IDL.text());
        System.setProperty("pve.oci.home", home.toString());
        try {
            assertThat(IdlParser.ofResource("/copy.varlink")).isEqualTo(IDL);
            assertThat(IdlParser.ofResource("/io.pve.oci.worker.varlink").types())
                    .isNotEmpty();
        } finally {
            System.clearProperty("pve.oci.home");
        }
    }
}
