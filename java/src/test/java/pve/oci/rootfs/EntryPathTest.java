package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EntryPathTest {
    private final EntryPath path = new EntryPath();

    private EntryPath.Problem set(String name) {
        byte[] bytes = name.getBytes(UTF_8);
        return path.set(bytes, bytes.length);
    }

    private String whole() {
        return new String(path.bytes(), 0, path.length(), UTF_8);
    }

    @ParameterizedTest
    @CsvSource({
        "a, a, '', a",
        "a/, a, '', a",
        "/a, a, '', a",
        "//a//b//, a/b, a, b",
        "./a/./b/., a/b, a, b",
        "a/../b, b, '', b",
        "a/b/c/../../d, a/d, a, d",
        "a/b/.., a, '', a",
        ".../..a/b.., .../..a/b.., .../..a, b..",
        "., '', '', ''",
        "./, '', '', ''",
        "/, '', '', ''",
        "'', '', '', ''",
        "a/.., '', '', ''",
        "a/../b/../, '', '', ''",
    })
    void is_clean_and_below_the_root(String name, String whole, String parent, String last) {
        assertThat(set(name)).isEqualTo(EntryPath.Problem.NONE);

        assertThat(whole()).isEqualTo(whole);
        assertThat(whole().substring(0, path.parentLength())).isEqualTo(parent);
        assertThat(new String(path.name(), UTF_8)).isEqualTo(last);
        assertThat(path.isRoot()).isEqualTo(whole.isEmpty());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"..", "../", "/..", "./..", "../a", "a/../..", "a/../../b", "a/b/../../../c", "/../etc/passwd"})
    void refuses_to_leave_the_root(String name) {
        assertThat(set(name)).isEqualTo(EntryPath.Problem.LEAVES_ROOT);
    }

    @Test
    void holds_names_up_to_path_max() {
        assertThat(set("a/".repeat(2047) + "f")).isEqualTo(EntryPath.Problem.NONE);
        assertThat(path.length()).isEqualTo(EntryPath.PATH_MAX - 1);
        assertThat(set("a/".repeat(2048))).isEqualTo(EntryPath.Problem.TOO_LONG);
    }

    @Test
    void is_reused_for_the_next_name() {
        set("a/long/name");
        set("b");

        assertThat(whole()).isEqualTo("b");
        assertThat(path.parentLength()).isZero();
    }

    @Test
    void loses_the_prefix_of_a_whiteout() {
        set("d/e/.wh.name");
        path.cutNamePrefix(4);

        assertThat(whole()).isEqualTo("d/e/name");
        assertThat(new String(path.name(), UTF_8)).isEqualTo("name");
    }

    @Test
    void is_bytes_whatever_they_are() {
        byte[] name = "\u00e4/\u00ff\n".getBytes(ISO_8859_1);
        path.set(name, name.length);

        assertThat(path.name()).isEqualTo("\u00ff\n".getBytes(ISO_8859_1));
        assertThat(path).hasToString("\\xe4/\\xff\\x0a");
    }

    @Test
    void is_the_same_by_its_bytes() {
        EntryPath other = new EntryPath();
        other.set("/x/../a/b/".getBytes(UTF_8), 10);
        set("./a/b");

        assertThat(path.isSame(other)).isTrue();
        set("a/c");
        assertThat(path.isSame(other)).isFalse();
    }
}
