package pve.oci.tar;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Numbers in header blocks and PAX records. */
class TarNumberTest {
    private static final int UID = 108;
    private static final int SIZE = 124;
    private static final int MTIME = 136;

    private static ReadEntry read(TarBuilder archive) throws IOException {
        return ReadEntry.readOne(archive);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "'0000017'    | 15",
                "'     17'    | 15",
                "'17     '    | 15",
                "'00000017'   | 15",
                "'77777777'   | 16777215",
                "'17'         | 15",
                "''           | 0",
                "'        '   | 0",
                "'   0 9xx'   | 0",
            })
    void octal_number(String field, long value) throws IOException {
        byte[] bytes = Arrays.copyOf(field.getBytes(US_ASCII), 8);
        assertThat(read(new TarBuilder().patch(UID, bytes).file("f", "")).uid()).isEqualTo(value);
    }

    @ParameterizedTest
    @ValueSource(strings = {"0000018 ", "-1      ", "0x10    ", "12a     "})
    void refuses_what_is_not_octal(String field) {
        assertThatThrownBy(() -> read(new TarBuilder().patch(UID, field).file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("malformed uid");
    }

    @Test
    void base256_numbers() throws IOException {
        ReadEntry entry = read(new TarBuilder()
                .patch(UID, new byte[] {(byte) 0x80, 0, 0, 0, (byte) 0xff, (byte) 0xff, (byte) 0xff, (byte) 0xfe})
                .patch(SIZE, new byte[] {(byte) 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3})
                .file("f", "abc"));
        assertThat(entry.uid()).isEqualTo(4294967294L);
        assertThat(entry.content()).isEqualTo("abc");
    }

    @Test
    void base256_negative_time_and_id() throws IOException {
        ReadEntry entry = read(new TarBuilder()
                .patch(UID, new byte[] {-1, -1, -1, -1, -1, -1, -1, -2})
                .mtime(-5)
                .file("f", ""));
        assertThat(entry.uid()).isEqualTo(-2);
        assertThat(entry.mtimeSeconds()).isEqualTo(-5);
        assertThat(entry.mtimeNanos()).isZero();
    }

    @Test
    void refuses_negative_base256_size() {
        assertThatThrownBy(() -> read(new TarBuilder()
                        .patch(SIZE, new byte[] {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1})
                        .file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("negative size");
    }

    @Test
    void refuses_base256_number_with_more_than_64_bits() {
        assertThatThrownBy(() -> read(new TarBuilder()
                        .patch(MTIME, new byte[] {(byte) 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
                        .file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("more than 64 bits");
    }

    @Test
    void size_of_2_to_the_62_is_truncated_content() {
        byte[] size = {(byte) 0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0};
        assertThatThrownBy(() -> read(new TarBuilder().patch(SIZE, size).file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("truncated");
    }

    @Test
    void refuses_size_above_2_to_the_62() {
        byte[] size = {(byte) 0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 1};
        assertThatThrownBy(() -> read(new TarBuilder().patch(SIZE, size).file("f", "")))
                .isInstanceOf(TarLimitException.class)
                .hasMessageContaining("size");
    }

    @Test
    void mode_with_file_type_bits() throws IOException {
        assertThat(read(new TarBuilder().mode(0106755).file("f", "")).mode()).isEqualTo(06755);
    }

    @Test
    void device_numbers() throws IOException {
        ReadEntry entry = read(new TarBuilder().characterDevice("null", 1, 3));
        assertThat(entry.type()).isEqualTo(EntryType.CHARACTER_DEVICE);
        assertThat(entry.deviceMajor()).isEqualTo(1);
        assertThat(entry.deviceMinor()).isEqualTo(3);
        assertThat(read(new TarBuilder().blockDevice("sda", 8, 0)).type()).isEqualTo(EntryType.BLOCK_DEVICE);
    }

    @Test
    void device_numbers_of_a_file_are_not_read() throws IOException {
        ReadEntry entry = read(new TarBuilder().patch(329, "junkjunkjunkjunk").file("f", ""));
        assertThat(entry.deviceMajor()).isZero();
    }

    @ParameterizedTest
    @CsvSource({
        "0, 0, 0",
        "1700000000.5, 1700000000, 500000000",
        "1600000000.25, 1600000000, 250000000",
        "-86400, -86400, 0",
        "-86400.25, -86401, 750000000",
        "-0.5, -1, 500000000",
        "-0, 0, 0",
        "7258118400, 7258118400, 0",
        "1.1234567899, 1, 123456789",
        "1., 1, 0",
        "9223372036854775806, 9223372036854775806, 0",
    })
    void pax_time(String text, long seconds, int nanos) throws IOException {
        ReadEntry entry = read(new TarBuilder().pax("mtime", text).file("f", ""));
        assertThat(entry.mtimeSeconds()).isEqualTo(seconds);
        assertThat(entry.mtimeNanos()).isEqualTo(nanos);
    }

    @ParameterizedTest
    @ValueSource(strings = {"x", "-", ".5", "1.x", "1e3", "+1", " 1", "1.-5", "9223372036854775808", "1.2.3"})
    void refuses_malformed_pax_time(String text) {
        assertThatThrownBy(() -> read(new TarBuilder().pax("mtime", text).file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("malformed mtime");
    }

    @Test
    void pax_numbers_beat_the_header() throws IOException {
        ReadEntry entry = read(new TarBuilder()
                .owner(1, 2)
                .pax("uid", "3000000000")
                .pax("gid", "4294967295")
                .pax("mtime", "5")
                .file("f", ""));
        assertThat(entry.uid()).isEqualTo(3000000000L);
        assertThat(entry.gid()).isEqualTo(4294967295L);
        assertThat(entry.mtimeSeconds()).isEqualTo(5);
    }

    @Test
    void pax_number_beats_a_malformed_header_field() throws IOException {
        assertThat(read(new TarBuilder().pax("uid", "7").patch(UID, "junk").file("f", ""))
                        .uid())
                .isEqualTo(7);
    }

    @Test
    void pax_id_too_large_for_anything_is_left_to_the_id_map() throws IOException {
        ReadEntry entry = read(new TarBuilder()
                .pax("uid", "1" + "0".repeat(30))
                .pax("gid", "-2")
                .file("f", ""));
        assertThat(entry.uid()).isEqualTo(Long.MAX_VALUE);
        assertThat(entry.gid()).isEqualTo(-2);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-1", "1x", "0x10", " 1", "-9223372036854775809"})
    void refuses_malformed_or_negative_pax_size(String text) {
        assertThatThrownBy(() -> read(new TarBuilder().pax("size", text).file("f", "")))
                .isInstanceOf(TarFormatException.class)
                .hasMessageContaining("size in a PAX header");
    }

    @ParameterizedTest
    @ValueSource(strings = {"1000000000000000000000000000000", "4611686018427387905"})
    void refuses_pax_size_above_2_to_the_62(String text) {
        assertThatThrownBy(() -> read(new TarBuilder().pax("size", text).file("f", "")))
                .isInstanceOf(TarLimitException.class)
                .hasMessageContaining("size in a PAX header");
    }
}
