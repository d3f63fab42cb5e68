package pve.oci.tar;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Names and link names, of all dialects. */
class TarNameTest {
    private static final byte[] NONE = {};

    private static String name(TarBuilder archive) throws IOException {
        return ReadEntry.readOne(archive).name();
    }

    @Test
    void keeps_bytes_that_are_not_utf8() throws IOException {
        byte[] name = {'c', 'a', 'f', (byte) 0xe9, '\n', 0x7f};
        assertThat(name(new TarBuilder().entry('0', name, NONE, NONE))).isEqualTo("caf\u00e9\n\u007f");
    }

    @Test
    void name_of_100_bytes_has_no_nul() throws IOException {
        String name = "n".repeat(100);
        assertThat(name(new TarBuilder().file(name, "x"))).isEqualTo(name);
    }

    @Test
    void name_ends_at_nul_and_what_follows_is_ignored() throws IOException {
        assertThat(name(new TarBuilder().patch(0, "real\0fake").file("", ""))).isEqualTo("real");
    }

    @Test
    void ustar_prefix_comes_before_the_name() throws IOException {
        assertThat(name(new TarBuilder().patch(345, "usr/share").file("doc", "")))
                .isEqualTo("usr/share/doc");
    }

    @Test
    void full_ustar_prefix_and_full_name() throws IOException {
        String prefix = "p".repeat(155);
        String name = "n".repeat(100);
        assertThat(name(new TarBuilder().patch(345, prefix).file(name, ""))).isEqualTo(prefix + "/" + name);
    }

    @Test
    void gnu_header_has_times_where_the_prefix_would_be() throws IOException {
        assertThat(name(new TarBuilder()
                        .gnu()
                        .patch(345, "14460260000\000014460260000")
                        .file("f", "")))
                .isEqualTo("f");
    }

    @Test
    void v7_header_has_no_prefix() throws IOException {
        assertThat(name(new TarBuilder().v7().patch(345, "junk").file("f", ""))).isEqualTo("f");
    }

    @Test
    void star_header_has_a_shorter_prefix() throws IOException {
        String prefix = "p".repeat(131);
        assertThat(name(new TarBuilder()
                        .patch(345, prefix + "14460260000 14460260000 ")
                        .patch(508, "tar\0")
                        .file("f", "")))
                .isEqualTo(prefix + "/f");
    }

    @Test
    void gnu_long_name_and_long_link_name() throws IOException {
        String name = "d/".repeat(150) + "n";
        String target = "t/".repeat(150) + "l";
        ReadEntry entry = ReadEntry.readOne(
                new TarBuilder().gnu().longLinkName(target).longName(name).symlink("d/d", "t/t"));
        assertThat(entry.name()).isEqualTo(name);
        assertThat(entry.linkName()).isEqualTo(target);
    }

    @Test
    void gnu_long_name_without_nul() throws IOException {
        assertThat(name(new TarBuilder()
                        .entry('L', NONE, NONE, "x".repeat(512).getBytes(ISO_8859_1))
                        .file("f", "")))
                .isEqualTo("x".repeat(512));
    }

    @Test
    void gnu_long_name_ends_at_nul() throws IOException {
        assertThat(name(new TarBuilder().longName("real\0fake").file("f", ""))).isEqualTo("real");
    }

    @Test
    void gnu_long_name_holds_for_one_entry() throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .longName("long")
                .longLinkName("target")
                .file("f", "")
                .symlink("g", "h")
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("long", "g");
        assertThat(entries).extracting(ReadEntry::linkName).containsExactly("", "h");
    }

    @Test
    void pax_path_beats_gnu_long_name_in_either_order() throws IOException {
        assertThat(name(new TarBuilder().longName("gnu").pax("path", "pax").file("f", "")))
                .isEqualTo("pax");
        assertThat(name(new TarBuilder()
                        .pax("path", "pax")
                        .paxHeader('x')
                        .longName("gnu")
                        .file("f", "")))
                .isEqualTo("pax");
    }

    @Test
    void pax_path_and_linkpath_are_bytes() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("hdrcharset", "BINARY")
                .pax("path", new byte[] {'a', '\n', '=', (byte) 0xff})
                .pax("linkpath", new byte[] {(byte) 0xe9})
                .symlink("f", "g"));
        assertThat(entry.name()).isEqualTo("a\n=\u00ff");
        assertThat(entry.linkName()).isEqualTo("\u00e9");
    }

    @Test
    void pax_path_replaces_prefix_and_name() throws IOException {
        assertThat(name(new TarBuilder()
                        .patch(345, "prefix")
                        .pax("path", "whole")
                        .file("f", "")))
                .isEqualTo("whole");
    }

    @Test
    void only_links_have_a_link_name() throws IOException {
        assertThat(ReadEntry.readOne(new TarBuilder()
                                .patch(157, "junk")
                                .pax("linkpath", "more")
                                .file("f", ""))
                        .linkName())
                .isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"path", "linkpath", "GNU.sparse.name"})
    void refuses_nul_in_a_pax_name(String keyword) {
        assertThatThrownBy(() ->
                        ReadEntry.readOne(new TarBuilder().pax(keyword, "a\0b").symlink("f", "g")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("NUL in the " + keyword + " of a PAX header");
    }

    @Test
    void refuses_an_empty_name() {
        assertThatThrownBy(() -> ReadEntry.readOne(new TarBuilder().file("", "x")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("empty name");
    }

    @Test
    void path_of_3900_bytes() throws IOException {
        String name = "p".repeat(3900);
        assertThat(name(new TarBuilder().file(name, ""))).isEqualTo(name);
    }

    @Test
    void keeps_the_slash_of_a_directory() throws IOException {
        assertThat(name(new TarBuilder().directory("./d/"))).isEqualTo("./d/");
    }
}
