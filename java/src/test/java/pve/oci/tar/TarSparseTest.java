package pve.oci.tar;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sparse files in GNU's four formats: expanded, or refused, never written as they are stored. */
class TarSparseTest {
    private static final String EXPANDED =
            "\0".repeat(1024) + "A".repeat(512) + "\0".repeat(2560) + "B".repeat(600) + "\0".repeat(3496);
    private static final String STORED = "A".repeat(512) + "B".repeat(600);

    private static String map(long... numbers) {
        StringBuilder text = new StringBuilder();
        for (long number : numbers) {
            text.append(String.format("%011o\0", number));
        }
        return text.toString();
    }

    private static TarBuilder gnu(String map, long realSize, boolean extended, byte[] content, long size) {
        return new TarBuilder()
                .gnu()
                .patch(386, map)
                .patch(482, (byte) (extended ? 1 : 0))
                .patch(483, map(realSize))
                .claimedSize(size)
                .entry('S', "sp".getBytes(US_ASCII), new byte[0], content);
    }

    private static void expectExpanded(TarBuilder archive) throws IOException {
        for (int bufferSize : new int[] {512, 1024, 1 << 16}) {
            List<ReadEntry> entries = ReadEntry.readAll(archive.file("z", "z").build(), bufferSize, TarLimits.DEFAULT);
            assertThat(entries.get(0).name()).isEqualTo("sp");
            assertThat(entries.get(0).type()).isEqualTo(EntryType.REGULAR);
            assertThat(entries.get(0).size()).isEqualTo(8192 + 512);
            assertThat(entries.get(0).content()).isEqualTo(EXPANDED + "\0".repeat(8704 - EXPANDED.length()));
            assertThat(entries.get(1).content()).isEqualTo("z");
        }
    }

    private static void expectRefused(TarBuilder archive, String reason) {
        assertThatThrownBy(() -> ReadEntry.readAll(archive.file("z", "z").build()))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining(reason);
    }

    private static TarBuilder pax(String content, Consumer<TarBuilder> records) {
        TarBuilder archive = new TarBuilder();
        records.accept(archive);
        return archive.file("GNUSparseFile.0/sp", content);
    }

    private static TarBuilder version1(String map, String content) {
        byte[] padded = Arrays.copyOf(map.getBytes(US_ASCII), (map.length() + 511) / 512 * 512);
        return pax(
                new String(padded, US_ASCII) + content,
                archive -> archive.pax("GNU.sparse.major", "1")
                        .pax("GNU.sparse.minor", "0")
                        .pax("GNU.sparse.name", "sp")
                        .pax("GNU.sparse.realsize", "8704"));
    }

    @Test
    void expands_gnu_map_in_the_header() throws IOException {
        expectExpanded(gnu(map(1024, 512, 4096, 600, 8704, 0), 8704, false, STORED.getBytes(US_ASCII), 1112));
    }

    @Test
    void expands_gnu_map_with_extension_blocks() throws IOException {
        byte[] blocks = new byte[1024];
        for (int i = 0; i < 21; i++) {
            System.arraycopy(map(1026 + i, 1).getBytes(US_ASCII), 0, blocks, i * 24, 24);
        }
        blocks[504] = 1;
        String rest = map(1047, 489, 4096, 600, 8704, 0);
        System.arraycopy(rest.getBytes(US_ASCII), 0, blocks, 512, rest.length());
        byte[] content = Arrays.copyOf(blocks, 1024 + 1112);
        System.arraycopy(STORED.getBytes(US_ASCII), 0, content, 1024, 1112);
        expectExpanded(gnu(map(0, 0, 10, 0, 1024, 1, 1025, 1), 8704, true, content, 1112));
    }

    @Test
    void refuses_gnu_map_that_ends_before_its_extension() {
        expectRefused(gnu(map(0, 512), 512, true, new byte[1024], 512), "ends before its extension");
    }

    @Test
    void refuses_gnu_map_truncated_in_its_extension() {
        byte[] archive =
                gnu(map(0, 1, 1, 1, 2, 1, 3, 1), 512, true, new byte[0], 4).buildWithoutEnd();
        assertThatThrownBy(() -> ReadEntry.readAll(archive)).hasMessageContaining("truncated");
    }

    @Test
    void type_s_without_gnu_magic_is_unsupported() {
        expectRefused(new TarBuilder().entry('S', new byte[] {'f'}, new byte[0], new byte[0]), "type 'S'");
    }

    @Test
    void expands_pax_0_0() throws IOException {
        expectExpanded(pax(
                STORED,
                archive -> archive.pax("GNU.sparse.size", "8704")
                        .pax("path", "sp")
                        .pax("GNU.sparse.numblocks", "2")
                        .pax("GNU.sparse.offset", "1024")
                        .pax("GNU.sparse.numbytes", "512")
                        .pax("GNU.sparse.offset", "4096")
                        .pax("GNU.sparse.numbytes", "600")));
    }

    @Test
    void expands_pax_0_1() throws IOException {
        expectExpanded(pax(
                STORED,
                archive -> archive.pax("GNU.sparse.name", "sp")
                        .pax("GNU.sparse.size", "8704")
                        .pax("GNU.sparse.numblocks", "3")
                        .pax("GNU.sparse.map", "1024,512,4096,600,8704,0")));
    }

    @Test
    void expands_pax_1_0() throws IOException {
        expectExpanded(version1("3\n1024\n512\n4096\n600\n8704\n0\n", STORED));
    }

    @Test
    void expands_pax_1_0_with_a_map_of_several_blocks() throws IOException {
        StringBuilder text = new StringBuilder("201\n");
        for (int i = 0; i < 199; i++) {
            text.append(i).append("\n0\n");
        }
        text.append("1024\n512\n4096\n600\n");
        assertThat(text.length()).isGreaterThan(1024);
        expectExpanded(version1(text.toString(), STORED));
    }

    @Test
    void file_that_is_one_hole() throws IOException {
        ReadEntry entry = ReadEntry.readOne(version1("0\n", ""));
        assertThat(entry.content()).isEqualTo("\0".repeat(8704));
    }

    @Test
    void huge_hole_has_no_content_to_read() throws IOException {
        TarBuilder archive = pax(
                "x".repeat(512),
                builder -> builder.pax("GNU.sparse.name", "sp")
                        .pax("GNU.sparse.size", "1099511627776")
                        .pax("GNU.sparse.map", "1099511627264,512"));
        assertThat(ReadEntry.readOne(archive).size()).isEqualTo(1L << 40);
    }

    @Test
    void name_of_the_sparse_file_beats_path() throws IOException {
        assertThat(ReadEntry.readOne(version1("0\n", "")).name()).isEqualTo("sp");
        assertThat(ReadEntry.readOne(pax(
                                "",
                                archive -> archive.pax("GNU.sparse.name", "right")
                                        .pax("path", "wrong")
                                        .pax("GNU.sparse.size", "0")))
                        .name())
                .isEqualTo("right");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"512,512,0,600", "0,600,599,512", "0,512,512", "0,512,,600", "a,512", "-1,512", "0,-1", "0 1,2"})
    void refuses_wrong_map_0_1(String map) {
        expectRefused(
                pax(
                        STORED,
                        archive -> archive.pax("GNU.sparse.name", "sp")
                                .pax("GNU.sparse.size", "8704")
                                .pax("GNU.sparse.map", map)),
                "sparse file");
    }

    @ParameterizedTest
    @ValueSource(strings = {"\n", "x\n", "1\n0\n", "1\n0\n1112\r", "-1\n", "2\n0\n1112\n", "99999999999999999999\n"})
    void refuses_wrong_map_1_0(String map) {
        expectRefused(version1(map, STORED), "sparse file");
    }

    @Test
    void refuses_region_beyond_the_end() {
        expectRefused(
                pax(STORED, archive -> archive.pax("GNU.sparse.size", "1111").pax("GNU.sparse.map", "0,1112")),
                "beyond its end");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0,1111", "0,1113", ""})
    void refuses_content_that_is_not_what_the_map_says(String map) {
        expectRefused(
                pax(STORED, archive -> archive.pax("GNU.sparse.size", "8704").pax("GNU.sparse.map", map)),
                "differs from that of its regions");
    }

    @Test
    void refuses_regions_that_are_not_pairs() {
        expectRefused(
                pax(
                        "",
                        a -> a.pax("GNU.sparse.size", "9")
                                .pax("GNU.sparse.offset", "1")
                                .pax("GNU.sparse.offset", "2")),
                "without size");
        expectRefused(pax("", a -> a.pax("GNU.sparse.size", "9").pax("GNU.sparse.numbytes", "1")), "without offset");
        expectRefused(pax("", a -> a.pax("GNU.sparse.size", "9").pax("GNU.sparse.offset", "1")), "incomplete");
    }

    @Test
    void refuses_sparse_records_without_size() {
        expectRefused(pax("", a -> a.pax("GNU.sparse.map", "")), "incomplete");
    }

    @Test
    void refuses_wrong_number_of_regions() {
        expectRefused(
                pax(
                        "",
                        a -> a.pax("GNU.sparse.size", "9")
                                .pax("GNU.sparse.numblocks", "1")
                                .pax("GNU.sparse.map", "")),
                "numblocks");
    }

    @ParameterizedTest
    @ValueSource(strings = {"1.1", "2.0", "0.2"})
    void refuses_other_versions(String version) {
        expectRefused(
                pax(
                        "",
                        a -> a.pax("GNU.sparse.major", version.substring(0, 1))
                                .pax("GNU.sparse.minor", version.substring(2))
                                .pax("GNU.sparse.realsize", "0")),
                "unsupported format " + version);
    }

    @ParameterizedTest
    @ValueSource(strings = {"SCHILY.realsize", "SUN.holesdata"})
    void refuses_other_ways_to_store_holes(String keyword) {
        expectRefused(pax("", a -> a.pax(keyword, "1")), "unsupported format (" + keyword);
    }

    @Test
    void refuses_sparse_directory_and_two_maps() {
        expectRefused(new TarBuilder().pax("GNU.sparse.size", "0").directory("d"), "no regular file");
        expectRefused(
                new TarBuilder()
                        .gnu()
                        .pax("GNU.sparse.size", "0")
                        .entry('S', new byte[] {'f'}, new byte[0], new byte[0]),
                "two maps");
        expectRefused(
                pax(
                        "",
                        a -> a.pax("GNU.sparse.major", "1")
                                .pax("GNU.sparse.minor", "0")
                                .pax("GNU.sparse.realsize", "9")
                                .pax("GNU.sparse.map", "0,0")),
                "two maps");
    }
}
