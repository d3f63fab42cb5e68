package pve.oci.tar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Typeflags, and what a size means for each. */
class TarTypeTest {
    private static final byte[] NONE = {};
    private static final byte[] NAME = {'f'};

    private static TarBuilder entry(char typeflag, byte... content) {
        return new TarBuilder().entry(typeflag, NAME, NONE, content);
    }

    @ParameterizedTest
    @ValueSource(chars = {0, '0', '7'})
    void regular_file(char typeflag) throws IOException {
        ReadEntry entry = ReadEntry.readOne(entry(typeflag, (byte) 'x'));
        assertThat(entry.type()).isEqualTo(EntryType.REGULAR);
        assertThat(entry.content()).isEqualTo("x");
    }

    @ParameterizedTest
    @CsvSource({"1, HARD_LINK", "2, SYMLINK", "3, CHARACTER_DEVICE", "4, BLOCK_DEVICE", "5, DIRECTORY", "6, FIFO"})
    void size_of_an_entry_without_content_is_ignored(char typeflag, EntryType type) throws IOException {
        List<ReadEntry> entries = ReadEntry.readAll(new TarBuilder()
                .claimedSize(1000)
                .entry(typeflag, NAME, new byte[] {'t'}, NONE)
                .pax("size", "1000")
                .entry(typeflag, NAME, new byte[] {'t'}, NONE)
                .file("g", "y")
                .build());
        assertThat(entries).extracting(ReadEntry::name).containsExactly("f", "f", "g");
        assertThat(entries).extracting(ReadEntry::type).containsExactly(type, type, EntryType.REGULAR);
        assertThat(entries).extracting(ReadEntry::size).containsExactly(0L, 0L, 1L);
    }

    @Test
    void malformed_size_of_an_entry_without_content_is_ignored() throws IOException {
        assertThat(ReadEntry.readOne(new TarBuilder().patch(124, "junk").directory("d"))
                        .size())
                .isZero();
    }

    @ParameterizedTest
    @ValueSource(chars = {0, '0'})
    void file_with_a_slash_after_its_name_is_a_directory(char typeflag) throws IOException {
        for (TarBuilder archive : List.of(new TarBuilder(), new TarBuilder().v7(), new TarBuilder().gnu())) {
            ReadEntry entry = ReadEntry.readOne(archive.entry(typeflag, new byte[] {'d', '/'}, NONE, NONE));
            assertThat(entry.type()).isEqualTo(EntryType.DIRECTORY);
        }
    }

    @Test
    void slash_after_a_long_name_makes_a_directory() throws IOException {
        assertThat(ReadEntry.readOne(new TarBuilder().longName("d/").file("d", ""))
                        .type())
                .isEqualTo(EntryType.DIRECTORY);
        assertThat(ReadEntry.readOne(new TarBuilder().pax("path", "d/").file("d", ""))
                        .type())
                .isEqualTo(EntryType.DIRECTORY);
    }

    @Test
    void refuses_directory_by_slash_with_content() {
        assertThatThrownBy(() -> ReadEntry.readOne(new TarBuilder().file("d/", "x")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("directory");
    }

    @ParameterizedTest
    @ValueSource(chars = {'V', 'M', 'N', 'D', 'A', 'E', 'I', '8', '9', 'z'})
    void refuses_unsupported_type(char typeflag) {
        assertThatThrownBy(() -> ReadEntry.readOne(entry(typeflag)))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("unsupported type '" + typeflag + "'");
    }

    @Test
    void unprintable_type_is_escaped() {
        assertThatThrownBy(() -> ReadEntry.readOne(entry('\u0080', NONE)))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("unsupported type \\x80");
    }

    @Test
    void content_is_skipped_when_it_is_not_read() throws IOException {
        byte[] archive = new TarBuilder()
                .file("a", new byte[5000])
                .file("b", "b")
                .file("c", "c")
                .build();
        TarReader reader = new TarReader(new BytesSource(archive, 1024), TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        assertThat(reader.nextData()).isTrue();
        assertThat(reader.dataLength()).isEqualTo(512);
        assertThat(reader.next()).isTrue();
        assertThat(reader.next()).isTrue();
        assertThat(reader.entry().name()[0]).isEqualTo((byte) 'c');
        assertThat(reader.next()).isFalse();
        assertThat(reader.next()).isFalse();
    }

    @Test
    void tells_offsets_of_header_and_content() throws IOException {
        byte[] archive =
                new TarBuilder().file("a", "x").pax("path", "b").file("b", "y").build();
        TarReader reader = new TarReader(new BytesSource(archive, 512), TarLimits.DEFAULT);
        assertThat(reader.next()).isTrue();
        assertThat(reader.entry().offset()).isZero();
        assertThat(reader.entry().contentOffset()).isEqualTo(512);
        assertThat(reader.next()).isTrue();
        assertThat(reader.entry().offset()).isEqualTo(1024);
        assertThat(reader.entry().contentOffset()).isEqualTo(1024 + 3 * 512);
        assertThat(reader.entry().isSparse()).isFalse();
    }
}
