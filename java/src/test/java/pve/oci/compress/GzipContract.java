package pve.oci.compress;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What gzip decompression does, whichever library does it. */
abstract class GzipContract {
    private static final byte[] TEXT = "a layer, more or less\n".repeat(500).getBytes(US_ASCII);

    abstract Decompressor decompressor();

    static byte[] gzip(byte[] content) {
        return gzip(content, Deflater.DEFAULT_COMPRESSION, Deflater.DEFAULT_STRATEGY);
    }

    static byte[] gzip(byte[] content, int level, int strategy) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes) {
            {
                def.setLevel(level);
                def.setStrategy(strategy);
            }
        }) {
            out.write(content);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return bytes.toByteArray();
    }

    private AbstractThrowableAssert<?, ?> refused(byte[] blob) {
        return assertThatThrownBy(() -> Blobs.decompress(decompressor(), blob))
                .isInstanceOf(CorruptBlobException.class)
                .hasMessageContaining("gzip");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 100, 32768, 65536, 1_000_000})
    void one_member(int size) throws IOException {
        byte[] content = Blobs.content(size, size);
        assertThat(Blobs.decompress(decompressor(), gzip(content))).isEqualTo(content);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "1, 0", "9, 0", "6, 1", "6, 2"})
    void every_kind_of_block(int level, int strategy) throws IOException {
        byte[] content = Blobs.content(300_000, level);
        assertThat(Blobs.decompress(decompressor(), gzip(content, level, strategy)))
                .isEqualTo(content);
    }

    @Test
    void all_members() throws IOException {
        byte[] blob = Blobs.concat(gzip(TEXT), gzip(new byte[0]), gzip(TEXT), gzip(new byte[] {1}));
        assertThat(Blobs.decompress(decompressor(), blob)).isEqualTo(Blobs.concat(TEXT, TEXT, new byte[] {1}));
    }

    @Test
    void thousands_of_members() throws IOException {
        ByteArrayOutputStream blob = new ByteArrayOutputStream();
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        for (int i = 0; i < 3000; i++) {
            byte[] part = Blobs.content(i % 200, i);
            content.writeBytes(part);
            blob.writeBytes(gzip(part));
        }
        assertThat(Blobs.decompress(decompressor(), blob.toByteArray(), 1000, 700))
                .isEqualTo(content.toByteArray());
    }

    @Test
    void borders_of_buffers_make_no_difference() throws IOException {
        byte[] first = Blobs.content(3000, 1);
        byte[] second = Blobs.content(2000, 2);
        byte[] blob = Blobs.concat(
                header(0x1f, 8), deflate(first), gzip(second, 0, 0), gzip(new byte[0]), gzip(TEXT), new byte[20]);
        byte[] content = Blobs.concat(first, second, TEXT);
        for (int inSize = 1; inSize < 40; inSize++) {
            for (int outSize : new int[] {1, 2, 7, 64, 1000, 16384, 100_000}) {
                assertThat(Blobs.decompress(decompressor(), blob, inSize, outSize))
                        .isEqualTo(content);
            }
        }
        for (int outSize = 1; outSize < 40; outSize++) {
            assertThat(Blobs.decompress(decompressor(), blob, 100_000, outSize)).isEqualTo(content);
        }
    }

    @Test
    void distances_reach_back_over_buffers() throws IOException {
        byte[] content = Blobs.content(400_000, 3);
        byte[] blob = gzip(content);
        for (int size : new int[] {311, 4096, 32768, 33000, 70_000}) {
            assertThat(Blobs.decompress(decompressor(), blob, size, size)).isEqualTo(content);
        }
    }

    /** A header with the fields that flags announce. */
    private static byte[] header(int flags, int method) {
        ByteArrayOutputStream header = new ByteArrayOutputStream();
        header.writeBytes(new byte[] {0x1f, (byte) 0x8b, (byte) method, (byte) flags, 1, 2, 3, 4, 0, 3});
        if ((flags & 4) != 0) {
            header.writeBytes(new byte[] {5, 1});
            header.writeBytes(new byte[0x105]);
        }
        if ((flags & 8) != 0) {
            header.writeBytes("layer.tar\0".getBytes(US_ASCII));
        }
        if ((flags & 16) != 0) {
            header.writeBytes("comment\0".getBytes(US_ASCII));
        }
        if ((flags & 2) != 0) {
            CRC32 crc = new CRC32();
            crc.update(header.toByteArray());
            header.write((int) crc.getValue());
            header.write((int) crc.getValue() >> 8);
        }
        return header.toByteArray();
    }

    private static byte[] deflate(byte[] content) {
        byte[] member = gzip(content);
        return Arrays.copyOfRange(member, 10, member.length);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 4, 8, 16, 3, 6, 10, 12, 24, 30, 31})
    void every_combination_of_header_fields(int flags) throws IOException {
        byte[] blob = Blobs.concat(header(flags, 8), deflate(TEXT), header(flags, 8), deflate(TEXT));
        assertThat(Blobs.decompress(decompressor(), blob)).isEqualTo(Blobs.concat(TEXT, TEXT));
    }

    @Test
    void extra_field_may_be_empty() throws IOException {
        byte[] header = {0x1f, (byte) 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0, 0};
        assertThat(Blobs.decompress(decompressor(), Blobs.concat(header, deflate(TEXT))))
                .isEqualTo(TEXT);
    }

    @Test
    void refuses_wrong_checksum_of_a_header() {
        byte[] header = header(2, 8);
        header[11] ^= 1;
        refused(Blobs.concat(header, deflate(TEXT))).hasMessageContaining("checksum of a header");
    }

    @Test
    void refuses_reserved_flags_and_other_methods() {
        refused(Blobs.concat(header(0x20, 8), deflate(TEXT))).hasMessageContaining("reserved flags");
        refused(Blobs.concat(header(0, 7), deflate(TEXT))).hasMessageContaining("unknown compression method 7");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 5, 8})
    void refuses_wrong_trailer(int fromEnd) {
        byte[] blob = gzip(TEXT);
        blob[blob.length - fromEnd] ^= 1;
        refused(blob).hasMessageContaining("wrong checksum or length");
        refused(Blobs.concat(blob, gzip(TEXT))).hasMessageContaining("wrong checksum or length");
    }

    @Test
    void zeros_after_the_last_member_are_passed_over() throws IOException {
        assertThat(Blobs.decompress(decompressor(), Blobs.concat(gzip(TEXT), new byte[100_000])))
                .isEqualTo(TEXT);
    }

    @Test
    void refuses_trailing_garbage() {
        refused(Blobs.concat(gzip(TEXT), "garbage".getBytes(US_ASCII))).hasMessageContaining("trailing garbage");
        refused(Blobs.concat(gzip(TEXT), new byte[10], gzip(TEXT))).hasMessageContaining("trailing garbage");
        refused(Blobs.concat(gzip(TEXT), new byte[] {0x1f, 0})).hasMessageContaining("no gzip magic");
    }

    @Test
    void refuses_every_truncation() {
        byte[] blob = Blobs.concat(header(0x1f, 8), deflate(TEXT));
        for (int size = 0; size < blob.length; size++) {
            refused(Arrays.copyOf(blob, size)).hasMessageContaining("truncated");
        }
        byte[] two = Blobs.concat(gzip(TEXT), gzip(TEXT));
        for (int size = two.length / 2 + 1; size < two.length; size++) {
            refused(Arrays.copyOf(two, size)).hasMessageContaining("truncated");
        }
    }

    @Test
    void refuses_invalid_blocks() {
        for (int first : new int[] {7, 5, 0xff}) {
            byte[] block = new byte[100];
            Arrays.fill(block, (byte) 0xee);
            block[0] = (byte) first;
            refused(Blobs.concat(header(0, 8), block));
        }
    }

    @Test
    void offset_of_an_error_is_that_in_the_blob() {
        byte[] blob = Blobs.concat(gzip(TEXT), "garbage".getBytes(US_ASCII));
        assertThatThrownBy(() -> Blobs.decompress(decompressor(), blob, 10, 1000))
                .isInstanceOfSatisfying(
                        CorruptBlobException.class, e -> assertThat(e.offset()).isEqualTo(blob.length - 7));
    }

    @Test
    void mutated_blobs_only_throw_what_is_declared() throws IOException {
        byte[] blob = Blobs.concat(gzip(Blobs.content(3000, 5)), gzip(TEXT));
        Random random = new Random(11);
        int refused = 0;
        for (int round = 0; round < 3000; round++) {
            byte[] mutated = blob.clone();
            for (int i = random.nextInt(3); i >= 0; i--) {
                mutated[random.nextInt(blob.length)] = (byte) random.nextInt(256);
            }
            try {
                Blobs.decompress(decompressor(), mutated, 1 + random.nextInt(5000), 1 + random.nextInt(5000));
            } catch (CorruptBlobException e) {
                refused++;
            } catch (RuntimeException e) {
                fail("round " + round, e);
            }
        }
        assertThat(refused).isGreaterThan(2500);
    }

    @Test
    void in_is_left_where_the_output_is_full() throws IOException {
        ByteBuffer in = ByteBuffer.allocateDirect(20_000)
                .put(gzip(Blobs.content(20_000, 1)))
                .flip();
        ByteBuffer out = ByteBuffer.allocateDirect(10);
        try (Decompressor decompressor = decompressor()) {
            decompressor.decompress(in, out);
            int position = in.position();
            decompressor.decompress(in, out);
            assertThat(out.hasRemaining()).isFalse();
            assertThat(in.position()).isEqualTo(position);
        }
    }
}
