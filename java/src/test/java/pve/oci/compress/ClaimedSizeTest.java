package pve.oci.compress;

import static org.assertj.core.api.Assertions.assertThat;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ClaimedSizeTest {
    private static OptionalLong claim(byte[] blob) throws UnsupportedCompressionException {
        int length = Math.min(ClaimedSize.BYTES, blob.length);
        ByteBuffer start = ByteBuffer.wrap(blob, 0, length).slice();
        ByteBuffer end = ByteBuffer.wrap(blob, blob.length - length, length).slice();
        return ClaimedSize.of(Compression.detect(start), start, end, blob.length);
    }

    private static byte[] gzip(byte[] content) throws IOException {
        ByteArrayOutputStream blob = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(blob)) {
            gzip.write(content);
        }
        return blob.toByteArray();
    }

    @ParameterizedTest
    @ValueSource(ints = {100, 255, 256, 257, 70_000, 10_000_000})
    void reads_what_gzip_and_zstd_state(int size) throws IOException {
        byte[] content = new byte[size];
        assertThat(claim(gzip(content))).hasValue(size);
        assertThat(claim(Zstd.compress(content))).hasValue(size);
        assertThat(claim(content)).hasValue(size);
    }

    @Test
    void knows_nothing_where_the_last_member_is_smaller_than_the_blob() throws IOException {
        byte[] first = gzip(new byte[1000]);
        byte[] last = gzip(new byte[1]);
        byte[] both = Arrays.copyOf(first, first.length + last.length);
        System.arraycopy(last, 0, both, first.length, last.length);
        assertThat(claim(both)).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(ints = {4, 5, 10, 17})
    void bears_blobs_that_end_early(int length) throws IOException {
        claim(Arrays.copyOf(Zstd.compress(new byte[1000]), length));
        claim(Arrays.copyOf(gzip(new byte[1000]), length));
    }
}
