package pve.oci.tar;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Beginning and end of archives, checksums, and archives that are cut off. */
class TarStructureTest {
    private static AbstractThrowableAssert<?, ?> refused(byte[] archive) {
        return assertThatThrownBy(() -> ReadEntry.readAll(archive)).isInstanceOf(TarFormatException.class);
    }

    private static List<String> names(byte[] archive) throws IOException {
        return ReadEntry.readAll(archive).stream().map(ReadEntry::name).toList();
    }

    @Test
    void archive_of_no_bytes_is_empty() throws IOException {
        assertThat(names(new byte[0])).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {512, 1024, 10240})
    void archive_of_zero_blocks_is_empty(int size) throws IOException {
        assertThat(names(new byte[size])).isEmpty();
    }

    @Test
    void archive_without_end_blocks() throws IOException {
        assertThat(names(new TarBuilder().file("f", "x".repeat(600)).buildWithoutEnd()))
                .containsExactly("f");
    }

    @Test
    void archive_with_one_end_block() throws IOException {
        assertThat(names(new TarBuilder().file("f", "x").zeroBlock().buildWithoutEnd()))
                .containsExactly("f");
    }

    @Test
    void archive_without_padding_after_the_last_content() throws IOException {
        byte[] archive = new TarBuilder().file("f", "x".repeat(600)).buildWithoutEnd();
        assertThat(names(Arrays.copyOf(archive, 512 + 600))).containsExactly("f");
    }

    @Test
    void refuses_zero_block_before_another_entry() {
        refused(new TarBuilder().file("f", "x").zeroBlock().file("g", "y").build())
                .hasMessageContaining("zero block")
                .hasMessageContaining("offset 1536");
    }

    @Test
    void refuses_zero_block_before_a_part_of_a_block() {
        byte[] archive =
                new TarBuilder().file("f", "x").zeroBlock().file("g", "y").buildWithoutEnd();
        refused(Arrays.copyOf(archive, 1536 + 10)).hasMessageContaining("zero block");
    }

    @Test
    void bytes_after_the_end_blocks_are_ignored_and_consumed() throws IOException {
        byte[] archive = new TarBuilder()
                .file("f", "x")
                .zeroBlock()
                .zeroBlock()
                .file("g", "y")
                .bytes("text".getBytes(US_ASCII))
                .buildWithoutEnd();
        assertThat(names(Arrays.copyOf(archive, archive.length - 100))).containsExactly("f");
    }

    @Test
    void finish_consumes_the_source_before_the_end() throws IOException {
        byte[] archive =
                new TarBuilder().file("f", new byte[9000]).file("g", "").build();
        BytesSource source = new BytesSource(archive, 1024);
        TarReader reader = new TarReader(source, TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        reader.finish();
        assertThat(source.consumed()).isEqualTo(archive.length);
        assertThat(reader.nextData()).isFalse();
        assertThat(reader.next()).isFalse();
    }

    @Test
    void refuses_text() {
        refused("this is no archive\n".repeat(100).getBytes(US_ASCII))
                .hasMessageContaining("not a tar archive")
                .hasMessageContaining("checksum");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "x", "\0"})
    void refuses_what_is_shorter_than_a_header(String blob) {
        refused(blob.getBytes(US_ASCII)).hasMessageContaining("not a tar archive");
    }

    @Test
    void refuses_wrong_checksum() {
        byte[] archive = new TarBuilder().file("f", "x").file("g", "y").build();
        archive[1024] = 'h';
        refused(archive).hasMessageContaining("wrong checksum").hasMessageContaining("offset 1024");
    }

    @Test
    void checksum_may_be_summed_over_signed_bytes() throws IOException {
        byte[] name = {'n', (byte) 0xe9};
        byte[] archive = new TarBuilder()
                .signedChecksum()
                .entry('0', name, new byte[0], new byte[] {'1'})
                .build();
        assertThat(names(archive)).containsExactly("n\u00e9");
    }

    @Test
    void checksum_may_be_written_in_other_ways() throws IOException {
        byte[] archive = new TarBuilder().file("f", "").build();
        String digits = new String(archive, 148, 6, US_ASCII);
        for (String field : List.of(digits + " \0", "  " + digits.substring(1) + "\0", "0" + digits + "\0")) {
            System.arraycopy(Arrays.copyOf(field.getBytes(US_ASCII), 8), 0, archive, 148, 8);
            assertThat(names(archive)).containsExactly("f");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 511, 513, 1023})
    void refuses_archive_cut_in_a_header(int size) {
        byte[] archive = new TarBuilder().file("e", "").file("f", "").build();
        if (size < 512) {
            refused(Arrays.copyOf(archive, size)).hasMessageContaining("truncated");
        } else {
            refused(Arrays.copyOf(archive, size)).hasMessageContaining("truncated, ends in a header");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {512, 513, 1024, 1111})
    void refuses_archive_cut_in_content(int size) {
        byte[] archive = new TarBuilder().file("f", "x".repeat(600)).build();
        refused(Arrays.copyOf(archive, size)).hasMessageContaining("truncated, ends in the content");
    }

    @Test
    void refuses_archive_cut_in_content_that_is_skipped() throws IOException {
        byte[] archive = new TarBuilder().file("f", "x".repeat(600)).build();
        TarReader reader = new TarReader(new BytesSource(Arrays.copyOf(archive, 1024), 512), TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        assertThatThrownBy(reader::next).isInstanceOf(TarFormatException.class).hasMessageContaining("truncated");
    }

    @ParameterizedTest
    @ValueSource(chars = {'x', 'X', 'L', 'K', 'g'})
    void refuses_archive_cut_in_an_extension_header(char typeflag) {
        byte[] archive = new TarBuilder()
                .entry(typeflag, new byte[] {'e'}, new byte[0], TarBuilder.record("path", new byte[100]))
                .file("f", "")
                .build();
        refused(Arrays.copyOf(archive, 512 + 50)).hasMessageContaining("truncated");
    }

    @Test
    void refuses_extension_header_without_entry() {
        for (boolean end : new boolean[] {true, false}) {
            for (TarBuilder archive : List.of(
                    new TarBuilder().file("f", "").pax("path", "g").paxHeader('x'),
                    new TarBuilder().file("f", "").longName("g"),
                    new TarBuilder().file("f", "").longLinkName("g"))) {
                refused(end ? archive.build() : archive.buildWithoutEnd())
                        .hasMessageContaining("truncated, an extension header is followed by no entry")
                        .hasMessageContaining("offset 512");
            }
        }
    }

    @Test
    void source_that_seeks_leaves_content_out() throws IOException {
        byte[] archive =
                new TarBuilder().file("f", new byte[100_000]).file("g", "y").build();
        SeekingSource source = new SeekingSource(archive);
        TarReader reader = new TarReader(source, TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        assertThat(reader.next()).isTrue();
        assertThat(reader.entry().name()[0]).isEqualTo((byte) 'g');
        assertThat(reader.entry().contentOffset()).isEqualTo(archive.length - 1536);
        assertThat(source.read).isLessThan(10_000);
    }
}
