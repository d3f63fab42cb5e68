package pve.oci.compress;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CompressionTest {
    private static Compression detect(byte[] bytes) throws UnsupportedCompressionException {
        return Compression.detect(ByteBuffer.wrap(bytes));
    }

    @ParameterizedTest
    @CsvSource({
        "'', NONE",
        "1f, NONE",
        "1f8b, GZIP",
        "1f8b08, GZIP",
        "1f8b0800000000000003, GZIP",
        "28b52f, NONE",
        "28b52ffd, ZSTD",
        "28b52ffd04580000, ZSTD",
        "502a4d1800000000, ZSTD",
        "5f2a4d1800000000, ZSTD",
        "602a4d1800000000, NONE",
        "6574632f000000000000, NONE",
        "7b7d, NONE",
        "00000000000000000000, NONE",
    })
    void by_the_first_bytes(String hex, Compression compression) throws IOException {
        assertThat(detect(HexFormat.of().parseHex(hex))).isEqualTo(compression);
    }

    @ParameterizedTest
    @CsvSource({
        "fd377a585a0000, xz",
        "425a6839314159265359, bzip2",
        "425a6831177245385090, bzip2",
        "04224d18, lz4",
        "4c5a495001, lzip",
        "5d000080, lzma",
        "504b0304, zip",
        "504b0506, zip",
        "377abcaf271c, 7z",
        "894c5a4f000d, lzop",
        "1f9d90, compress",
    })
    void unsupported_ones_are_named(String hex, String name) {
        assertThatThrownBy(() -> detect(HexFormat.of().parseHex(hex)))
                .isInstanceOf(UnsupportedCompressionException.class)
                .hasMessageContaining("unsupported compression")
                .hasMessageContaining(name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"BZh9 notes", "BZhello.txt", "LZIP.txt", "xz", "zip"})
    void names_in_a_tar_archive_are_no_magic(String name) throws IOException {
        assertThat(detect(name.getBytes(ISO_8859_1))).isEqualTo(Compression.NONE);
    }

    @Test
    void buffer_is_left_as_it_is() throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(100);
        buffer.put(5, new byte[] {0x1f, (byte) 0x8b, 8}).position(5).limit(8);
        assertThat(Compression.detect(buffer)).isEqualTo(Compression.GZIP);
        assertThat(buffer.position()).isEqualTo(5);
        assertThat(buffer.limit()).isEqualTo(8);
    }

    @Test
    void plain_blob_is_copied() throws IOException {
        byte[] content = Blobs.content(10_000, 1);
        assertThat(Blobs.decompress(Decompressors.of(Compression.NONE, 27), content, 1000, 300))
                .isEqualTo(content);
    }
}
