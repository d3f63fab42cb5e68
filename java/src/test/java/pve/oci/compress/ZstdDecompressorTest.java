package pve.oci.compress;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ZstdDecompressorTest {
    private static final byte[] TEXT = "a layer, more or less\n".repeat(500).getBytes(US_ASCII);

    private static Decompressor decompressor() {
        return Decompressors.of(Compression.ZSTD, Decompressor.DEFAULT_WINDOW_LOG_MAX);
    }

    private static byte[] zstd(byte[] content) {
        try (ZstdCompressCtx context = new ZstdCompressCtx()) {
            return context.setChecksum(true).compress(content);
        }
    }

    private static byte[] skippable(int size) {
        byte[] frame = new byte[8 + size];
        System.arraycopy(new byte[] {0x5e, 0x2a, 0x4d, 0x18, (byte) size, (byte) (size >> 8)}, 0, frame, 0, 6);
        return frame;
    }

    private static AbstractThrowableAssert<?, ?> refused(byte[] blob) {
        return assertThatThrownBy(() -> Blobs.decompress(decompressor(), blob))
                .isInstanceOf(CorruptBlobException.class)
                .hasMessageContaining("zstd");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 100, 131_072, 1_000_000})
    void one_frame(int size) throws IOException {
        byte[] content = Blobs.content(size, size);
        assertThat(Blobs.decompress(decompressor(), zstd(content))).isEqualTo(content);
    }

    @Test
    void all_frames_and_skippable_ones_between() throws IOException {
        byte[] blob = Blobs.concat(
                skippable(20), zstd(TEXT), skippable(0), zstd(new byte[0]), zstd(TEXT), skippable(1000), skippable(7));
        assertThat(Blobs.decompress(decompressor(), blob)).isEqualTo(Blobs.concat(TEXT, TEXT));
    }

    @Test
    void borders_of_buffers_make_no_difference() throws IOException {
        byte[] first = Blobs.content(3000, 1);
        byte[] blob = Blobs.concat(skippable(20), zstd(first), zstd(new byte[0]), zstd(TEXT), skippable(7));
        byte[] content = Blobs.concat(first, TEXT);
        for (int inSize = 1; inSize < 40; inSize++) {
            for (int outSize : new int[] {1, 2, 7, 64, 1000, 16384, 100_000}) {
                assertThat(Blobs.decompress(decompressor(), blob, inSize, outSize))
                        .isEqualTo(content);
            }
        }
    }

    @Test
    void large_frame_into_small_buffers() throws IOException {
        byte[] content = Blobs.concat(Blobs.content(500_000, 4), new byte[3_000_000]);
        byte[] blob = zstd(content);
        assertThat(Blobs.decompress(decompressor(), blob, blob.length, 1000)).isEqualTo(content);
    }

    @Test
    void window_of_128_mib() throws IOException {
        assertThat(Blobs.decompress(decompressor(), ZstdFrames.withWindowLog(TEXT, 27)))
                .isEqualTo(TEXT);
    }

    @Test
    void refuses_larger_window_than_the_limit() throws IOException {
        byte[] blob = ZstdFrames.withWindowLog(TEXT, 28);
        assertThatThrownBy(() -> Blobs.decompress(decompressor(), blob))
                .isInstanceOfSatisfying(
                        WindowLimitException.class, e -> assertThat(e.maximum()).isEqualTo(27))
                .hasMessageContaining("zstd: window of a frame is too large");
        assertThat(Blobs.decompress(Decompressors.of(Compression.ZSTD, 28), blob))
                .isEqualTo(TEXT);
    }

    @Test
    void refuses_wrong_checksum() {
        byte[] blob = zstd(TEXT);
        blob[blob.length - 1] ^= 1;
        refused(blob).hasMessageContaining("checksum");
    }

    @Test
    void refuses_every_truncation() {
        byte[] blob = zstd(Blobs.content(500, 1));
        for (int size = 0; size < blob.length; size++) {
            refused(Arrays.copyOf(blob, size)).hasMessageContaining("truncated");
        }
        byte[] skippable = Blobs.concat(zstd(TEXT), skippable(1000));
        refused(Arrays.copyOf(skippable, skippable.length - 1)).hasMessageContaining("truncated");
    }

    @Test
    void refuses_trailing_garbage() {
        refused(Blobs.concat(zstd(TEXT), "garbage".getBytes(US_ASCII))).hasMessageContaining("trailing garbage");
        refused(Blobs.concat(zstd(TEXT), new byte[100])).hasMessageContaining("trailing garbage");
    }

    @Test
    void refuses_frame_that_needs_a_dictionary() {
        try (ZstdCompressCtx context = new ZstdCompressCtx()) {
            byte[] blob = context.loadDict(dictionary()).setDictID(true).compress(TEXT);
            refused(blob).hasMessageContaining("ictionary");
        }
    }

    private static byte[] dictionary() {
        byte[][] samples = new byte[200][];
        for (int i = 0; i < samples.length; i++) {
            samples[i] = ("entry " + i + " of layer " + i * 7 + " with mode " + i % 13)
                    .repeat(3)
                    .getBytes(US_ASCII);
        }
        byte[] dictionary = new byte[2000];
        long size = Zstd.trainFromBuffer(samples, dictionary);
        return Arrays.copyOf(dictionary, (int) size);
    }

    @Test
    void mutated_blobs_only_throw_what_is_declared() throws IOException {
        byte[] blob = Blobs.concat(zstd(Blobs.content(3000, 5)), skippable(5), zstd(TEXT));
        Random random = new Random(11);
        int refused = 0;
        for (int round = 0; round < 3000; round++) {
            byte[] mutated = blob.clone();
            for (int i = random.nextInt(3); i >= 0; i--) {
                mutated[random.nextInt(blob.length)] = (byte) random.nextInt(256);
            }
            try {
                Blobs.decompress(decompressor(), mutated, 1 + random.nextInt(5000), 1 + random.nextInt(5000));
            } catch (CorruptBlobException | WindowLimitException e) {
                refused++;
            } catch (RuntimeException e) {
                fail("round " + round, e);
            }
        }
        assertThat(refused).isGreaterThan(2000);
    }

    @Test
    void calls_without_input_are_no_error() throws IOException {
        ByteBuffer nothing = ByteBuffer.allocateDirect(0);
        ByteBuffer out = ByteBuffer.allocateDirect(100);
        try (Decompressor decompressor = decompressor()) {
            for (int i = 0; i < 100; i++) {
                decompressor.decompress(nothing, out);
            }
        }
        assertThat(out.position()).isZero();
    }
}
