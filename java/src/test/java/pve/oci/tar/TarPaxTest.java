package pve.oci.tar;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** PAX extended headers: which entry they belong to, their records, extended attributes. */
class TarPaxTest {
    @Test
    void size_beats_the_header() throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .pax("size", "1024")
                .claimedSize(0)
                .file("f", "x".repeat(1024))
                .file("g", "y")
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("f", "g");
        assertThat(entries.get(0).content()).isEqualTo("x".repeat(1024));
    }

    // CVE-2025-62518: a reader that skips by the header's size reads the content as entries
    @Test
    void size_beats_the_header_so_that_content_is_no_entry() throws IOException {
        byte[] smuggled = new TarBuilder().file("smuggled", "").build();
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .pax("size", Integer.toString(smuggled.length))
                .claimedSize(0)
                .file("f", smuggled)
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("f");
    }

    @Test
    void size_applies_to_the_entry_and_not_to_a_long_name_between() throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .pax("size", "600")
                .paxHeader('x')
                .longName("long")
                .claimedSize(0)
                .file("f", "x".repeat(600))
                .file("g", "")
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("long", "g");
        assertThat(entries.get(0).size()).isEqualTo(600);
    }

    @Test
    void last_of_equal_keywords_counts() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("path", "one")
                .pax("path", "two")
                .xattr("user.k", "1")
                .xattr("user.k", "2")
                .file("f", ""));
        assertThat(entry.name()).isEqualTo("two");
        assertThat(entry.xattrs()).isEqualTo(Map.of("user.k", "2"));
    }

    @Test
    void empty_value_leaves_the_header_in_force() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("path", "one")
                .pax("path", "")
                .pax("size", "9")
                .pax("size", "")
                .pax("uid", "")
                .pax("gid", "")
                .pax("mtime", "")
                .owner(1, 2)
                .file("f", "x"));
        assertThat(entry.name()).isEqualTo("f");
        assertThat(entry.content()).isEqualTo("x");
        assertThat(entry.uid()).isEqualTo(1);
        assertThat(entry.gid()).isEqualTo(2);
        assertThat(entry.mtimeSeconds()).isEqualTo(TarBuilder.MTIME);
    }

    @Test
    void holds_for_one_entry() throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .pax("path", "one")
                .pax("uid", "5")
                .pax("mtime", "1.5")
                .xattr("user.k", "v")
                .file("f", "")
                .file("g", "")
                .build());
        ReadEntry second = entries.get(1);
        assertThat(second.name()).isEqualTo("g");
        assertThat(second.uid()).isZero();
        assertThat(second.mtimeNanos()).isZero();
        assertThat(second.xattrs()).isEmpty();
    }

    @Test
    void global_header_is_ignored() throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .pax("comment", "0123456789abcdef")
                .pax("path", "global")
                .pax("mtime", "1")
                .pax("size", "7")
                .paxHeader('g')
                .file("f", "x")
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("f");
        assertThat(entries.get(0).mtimeSeconds()).isEqualTo(TarBuilder.MTIME);
    }

    @Test
    void global_header_between_header_and_entry() throws IOException {
        assertThat(ReadEntry.readOne(new TarBuilder()
                                .pax("path", "mine")
                                .paxHeader('x')
                                .pax("path", "global")
                                .paxHeader('g')
                                .file("f", ""))
                        .name())
                .isEqualTo("mine");
    }

    @Test
    void global_header_after_the_last_entry() throws IOException {
        byte[] archive = new TarBuilder()
                .file("f", "")
                .pax("comment", "end")
                .paxHeader('g')
                .build();
        assertThat(ReadEntry.readAll(archive)).hasSize(1);
    }

    @Test
    void solaris_header_is_an_extended_header() throws IOException {
        assertThat(ReadEntry.readOne(new TarBuilder()
                                .pax("path", "real")
                                .paxHeader('X')
                                .file("f", ""))
                        .name())
                .isEqualTo("real");
    }

    @Test
    void refuses_two_headers_for_one_entry() {
        assertThatThrownBy(() -> ReadEntry.readOne(new TarBuilder()
                        .pax("path", "one")
                        .paxHeader('x')
                        .pax("path", "two")
                        .paxHeader('x')
                        .file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("second PAX header");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "10 path=f",
                "8 path=f\n",
                "11 path=f\n",
                "99999999999999999999 path=f\n",
                "-11 path=f\n",
                "+11 path=f\n",
                " 11 path=f\n",
                "9path=f\n",
                "10\tpath=f\n",
                "0 path=f\n",
                "1 path=f\n",
                "3 \n",
                "10 path/f\n",
                "5 =f\n",
                "path=f\n",
                "\n",
                "10 path=f\n\0\0\0",
                "9",
                "10 ",
            })
    void refuses_malformed_record(String record) throws IOException {
        TarBuilder archive = new TarBuilder()
                .pax("comment", "a good one before")
                .paxBytes(record.getBytes(UTF_8))
                .file("f", "");
        if (record.isEmpty()) {
            assertThat(ReadEntry.readOne(archive).name()).isEqualTo("f");
        } else {
            assertThatThrownBy(() -> ReadEntry.readOne(archive))
                    .isInstanceOf(TarFormatException.class)
                    .hasMessageContaining("record")
                    .hasMessageContaining("PAX header");
        }
    }

    @Test
    void unknown_keywords_are_passed_over() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("atime", "junk")
                .pax("ctime", "1")
                .pax("SCHILY.xattr.", "no name")
                .pax("LIBARCHIVE.creationtime", "1")
                .pax("RHT.security.selinux", "x")
                .file("f", ""));
        assertThat(entry.xattrs()).isEmpty();
    }

    @Test
    void xattrs_are_bytes() throws IOException {
        byte[] value = {0, '\n', '=', (byte) 0xff, 0};
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .xattr("security.capability", value)
                .xattr("user.empty", "")
                .file("f", "x"));
        assertThat(entry.xattrs()).isEqualTo(Map.of("security.capability", "\0\n=\u00ff\0", "user.empty", ""));
    }

    @Test
    void libarchive_xattrs_do_not_count_beside_schily() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("LIBARCHIVE.xattr.user.k", "b3RoZXI")
                .xattr("user.k", "v")
                .pax("LIBARCHIVE.xattr.user.l", "b3RoZXI")
                .file("f", ""));
        assertThat(entry.xattrs()).isEqualTo(Map.of("user.k", "v"));
    }

    @Test
    void libarchive_xattrs_alone_are_decoded() throws IOException {
        ReadEntry entry = ReadEntry.readOne(new TarBuilder()
                .pax("LIBARCHIVE.xattr.user.a%3Db+c%FF", "b3RoZXI")
                .file("f", ""));
        assertThat(entry.xattrs()).isEqualTo(Map.of("user.a=b+c\u00ff", "other"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"user.k=***", "user.%zz=AAAA", "user.%0=AAAA"})
    void refuses_malformed_libarchive_xattr(String record) {
        String[] parts = record.split("=", 2);
        assertThatThrownBy(() -> ReadEntry.readOne(new TarBuilder()
                        .pax("LIBARCHIVE.xattr." + parts[0], parts[1])
                        .file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("LIBARCHIVE.xattr");
    }

    @Test
    void refuses_nul_in_an_xattr_name() {
        assertThatThrownBy(() -> ReadEntry.readOne(
                        new TarBuilder().xattr("user.a\0b", "v").file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("NUL in the name of an xattr");
    }

    @Test
    void xattrs_may_be_kept() throws IOException {
        byte[] archive = new TarBuilder()
                .xattr("user.k", "1")
                .file("f", "")
                .xattr("user.k", "2")
                .file("g", "")
                .build();
        TarReader reader = new TarReader(new BytesSource(archive, 512), TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        List<Xattr> kept = reader.entry().xattrs();
        assertThat(reader.next()).isTrue();
        assertThat(kept.get(0).value()).containsExactly('1');
    }
}
