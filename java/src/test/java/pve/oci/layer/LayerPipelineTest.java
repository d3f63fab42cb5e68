package pve.oci.layer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.archive.Layer;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarLimits;

@Timeout(value = 60, unit = TimeUnit.SECONDS)
@ParameterizedClass
@ValueSource(ints = {2, 3, 4})
class LayerPipelineTest {
    private static final String TYPE = "application/vnd.oci.image.layer.v1.tar";

    private final int cores;
    private final AtomicInteger open = new AtomicInteger();
    private final List<MemoryBlob> opened = new CopyOnWriteArrayList<>();

    LayerPipelineTest(int cores) {
        this.cores = cores;
    }

    @AfterEach
    void leaves_no_thread_and_no_open_blob() {
        assertThat(open).hasValue(0);
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .doesNotContain("layer-reader", "blob-hasher", "content-hasher");
    }

    private static Digest digest(byte[] bytes) {
        try {
            return new Digest(
                    "sha256",
                    HexFormat.of()
                            .formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] gzip(byte[] content) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(content);
        }
        return out.toByteArray();
    }

    private Layer layer(int index, byte[] blob, byte[] content) {
        return new Layer(
                index,
                2,
                new Descriptor(TYPE, digest(blob), blob.length, Map.of(), null),
                digest(content),
                () -> new MemoryBlob(blob, blob.length, open, opened));
    }

    private LayerPipeline pipeline(Layer... layers) {
        return new LayerPipeline(List.of(layers), LayerLimits.DEFAULT, new Progress(), false, cores);
    }

    private static byte[] content(int size) {
        byte[] content = new byte[size];
        new java.util.Random(size).nextBytes(content);
        return content;
    }

    @Test
    void gives_the_bytes_of_layer_after_layer() throws IOException {
        byte[] first = content(3_000_000);
        byte[] second = content(700);
        Layer a = layer(0, gzip(first), first);
        Layer b = layer(1, second, second);
        try (LayerPipeline pipeline = pipeline(a, b)) {
            for (Layer layer : List.of(a, b)) {
                ByteArrayOutputStream read = new ByteArrayOutputStream();
                pipeline.beginLayer();
                while (pipeline.advance()) {
                    byte[] piece = new byte[pipeline.buffer().remaining()];
                    pipeline.buffer().get(pipeline.buffer().position(), piece);
                    read.writeBytes(piece);
                }
                pipeline.verifyContent(layer);
                assertThat(read.toByteArray()).isEqualTo(layer.index() == 0 ? first : second);
            }
        }
    }

    /** How much has been read of each blob when nothing more can happen: all threads of the pipeline wait. */
    private List<Integer> readWhenAtRest() throws InterruptedException {
        List<Integer> before = List.of();
        List<Integer> now = List.of();
        while (now.isEmpty() || !now.equals(before) || !areThreadsWaiting()) {
            Thread.sleep(20);
            before = now;
            now = areThreadsWaiting()
                    ? opened.stream().map(blob -> blob.at.get()).toList()
                    : List.of();
        }
        return now;
    }

    /** A thread that was woken, but has not got a processor yet, is not in the state WAITING any more. */
    private static boolean areThreadsWaiting() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("layer-"))
                .allMatch(thread -> thread.getState() == Thread.State.WAITING);
    }

    @Test
    void reads_the_next_layer_ahead_within_its_memory_where_there_are_cores() throws Exception {
        byte[] first = content(20_000_000);
        byte[] second = content(20_000_001);
        Layer a = layer(0, first, first);
        Layer b = layer(1, second, second);
        LayerLimits limits = new LayerLimits(1L << 40, 10, 1000, 100, 27, 0, 8 << 20, TarLimits.DEFAULT);
        try (LayerPipeline pipeline = new LayerPipeline(List.of(a, b), limits, new Progress(), false, cores)) {
            List<Integer> read = readWhenAtRest();
            assertThat(read).hasSize(cores < 4 ? 1 : 2).allMatch(bytes -> bytes > 2 << 20);
            int blobSlots = 8 * (256 << 10);
            assertThat(read.stream().mapToInt(x -> x).sum())
                    .isLessThanOrEqualTo((int) limits.readAhead() + read.size() * blobSlots);
            for (Layer layer : List.of(a, b)) {
                pipeline.beginLayer();
                pipeline.skip();
                pipeline.verifyContent(layer);
            }
        }
    }

    @Test
    void reads_a_stream_with_one_reader() throws Exception {
        byte[] content = content(20_000_000);
        Layer a = layer(0, content, content);
        try (LayerPipeline pipeline =
                new LayerPipeline(List.of(a, a), LayerLimits.DEFAULT, new Progress(), true, cores)) {
            assertThat(readWhenAtRest()).hasSize(1);
            for (int i = 0; i < 2; i++) {
                pipeline.beginLayer();
                pipeline.skip();
                pipeline.verifyContent(a);
            }
        }
    }

    @Test
    void tells_of_a_bad_layer_when_its_turn_comes() throws Exception {
        byte[] good = content(20_000_000);
        byte[] bad = content(1000);
        Layer a = layer(0, good, good);
        Layer b = layer(1, bad, good);
        try (LayerPipeline pipeline = pipeline(a, b)) {
            readWhenAtRest();
            pipeline.beginLayer();
            pipeline.skip();
            pipeline.verifyContent(a);
            pipeline.beginLayer();
            pipeline.skip();
            assertThatThrownBy(() -> pipeline.verifyContent(b))
                    .hasMessageContaining("layer 2/2 ")
                    .hasMessageContaining("uncompressed content has the digest");
        }
    }

    @Test
    void closes_while_padding_goes_on_for_ever() throws IOException {
        byte[] blob = gzip(content(1000));
        Layer layer = new Layer(
                0,
                1,
                new Descriptor(TYPE, digest(blob), 1L << 50, Map.of(), null),
                digest(content(1000)),
                () -> new EndlessBlob(new MemoryBlob(blob, 1L << 50, open, opened)));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
        }
    }

    @Test
    void tells_of_a_breakdown_before_the_first_byte_of_a_layer() throws IOException {
        byte[] small = content(1000);
        Layer good = layer(0, small, small);
        Layer broken = new Layer(1, 2, good.descriptor(), good.diffId(), () -> {
            throw new IllegalStateException("broken");
        });
        try (LayerPipeline pipeline = pipeline(good, broken)) {
            assertThatThrownBy(() -> {
                        for (Layer layer : List.of(good, broken)) {
                            pipeline.beginLayer();
                            pipeline.skip();
                            pipeline.verifyContent(layer);
                        }
                    })
                    .isInstanceOf(IllegalStateException.class)
                    .rootCause()
                    .hasMessage("broken");
        }
    }

    @Test
    void fills_every_buffer_but_the_last_with_whole_blocks() throws IOException {
        byte[] content = content(2_000_001);
        Layer layer = layer(0, gzip(content), content);
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            int odd = 0;
            while (pipeline.advance()) {
                odd += pipeline.buffer().remaining() % 512 == 0 ? 0 : 1;
            }
            pipeline.verifyContent(layer);
            assertThat(odd).isEqualTo(1);
        }
    }

    @Test
    void stops_when_it_is_closed_in_the_middle() throws IOException {
        byte[] content = content(30_000_000);
        Layer layer = layer(0, content, content);
        for (int pieces : new int[] {0, 1, 5}) {
            try (LayerPipeline pipeline = pipeline(layer, layer)) {
                pipeline.beginLayer();
                for (int i = 0; i < pieces; i++) {
                    pipeline.advance();
                }
            }
        }
    }

    @Test
    void fails_at_the_layer_that_cannot_be_opened() throws IOException {
        byte[] content = content(5000);
        Layer good = layer(0, content, content);
        Layer bad = new Layer(1, 2, good.descriptor(), good.diffId(), () -> {
            throw new IOException("no such blob");
        });
        try (LayerPipeline pipeline = pipeline(good, bad)) {
            pipeline.beginLayer();
            pipeline.skip();
            pipeline.verifyContent(good);
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip).hasMessage("no such blob");
        }
    }

    @Test
    void fails_when_the_blob_ends_early() {
        byte[] content = content(5000);
        Layer layer = new Layer(
                0,
                1,
                new Descriptor(TYPE, digest(content), 6000, Map.of(), null),
                digest(content),
                () -> new MemoryBlob(content, 6000, open, opened));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip).hasMessageContaining("archive is truncated, 1000 bytes");
        }
    }

    @Test
    void fails_by_the_digest_of_the_blob_before_what_is_wrong_in_it() throws IOException {
        byte[] content = content(100_000);
        byte[] blob = gzip(content);
        byte[] changed = blob.clone();
        changed[5000] ^= 1;
        Layer layer = new Layer(
                0,
                1,
                new Descriptor(TYPE, digest(blob), blob.length, Map.of(), null),
                digest(content),
                () -> new MemoryBlob(changed, changed.length, open, opened));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip)
                    .isInstanceOfSatisfying(
                            ImageException.class, e -> assertThat(e.error()).isEqualTo(ImageError.DIGEST_MISMATCH));
        }
    }

    @Test
    void keeps_the_reason_of_a_blob_that_was_damaged_before_its_digest_was_made() throws IOException {
        byte[] blob = java.util.Arrays.copyOf(gzip(content(100_000)), 50_000);
        Layer layer = layer(0, blob, content(1));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip).hasMessageContaining("gzip: truncated");
            assertThatThrownBy(() -> pipeline.verifyContent(layer)).hasMessageContaining("gzip: truncated");
        }
    }

    @Test
    void compares_the_content_with_the_diff_id() throws IOException {
        byte[] content = content(100);
        Layer layer = layer(0, content, "other".getBytes(UTF_8));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            pipeline.skip();
            assertThatThrownBy(() -> pipeline.verifyContent(layer))
                    .hasMessageContaining("does not match the config's diff_id " + layer.diffId());
        }
    }

    @Test
    void ends_the_job_when_a_thread_breaks_down() {
        byte[] content = content(100);
        for (Throwable breakdown : List.of(new IllegalStateException("bug"), new OutOfMemoryError("none left"))) {
            Layer layer =
                    new Layer(0, 1, new Descriptor(TYPE, digest(content), 100, Map.of(), null), digest(content), () -> {
                        if (breakdown instanceof OutOfMemoryError e) {
                            throw e;
                        }
                        throw (RuntimeException) breakdown;
                    });
            try (LayerPipeline pipeline = pipeline(layer)) {
                pipeline.beginLayer();
                assertThatThrownBy(pipeline::skip)
                        .satisfiesAnyOf(
                                x -> assertThat(x).isSameAs(breakdown),
                                x -> assertThat(x).hasCause(breakdown));
            }
        }
    }

    @Test
    void compares_stored_content_with_the_diff_id_too() throws IOException {
        byte[] blob = content(3_000_000);
        Layer layer = new Layer(
                0,
                1,
                new Descriptor(TYPE, digest(blob), blob.length, Map.of(), null),
                digest(new byte[1]),
                () -> new MemoryBlob(blob, blob.length, open, opened));
        try (LayerPipeline pipeline = pipeline(layer)) {
            pipeline.beginLayer();
            pipeline.skip();
            assertThatThrownBy(() -> pipeline.verifyContent(layer))
                    .hasMessageContaining("content has the digest " + digest(blob));
        }
    }

    @Test
    void says_of_a_large_blob_that_is_corrupt_at_its_beginning_whether_it_was_changed() throws IOException {
        byte[] blob = gzip(content(5_000_000));
        blob[2] = 9;
        Layer corrupt = layer(0, blob, new byte[0]);
        try (LayerPipeline pipeline = pipeline(corrupt)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip)
                    .isInstanceOf(ImageException.class)
                    .hasMessageContaining("gzip");
        }
        Layer changed = new Layer(
                0,
                1,
                new Descriptor(TYPE, digest(new byte[1]), blob.length, Map.of(), null),
                digest(new byte[0]),
                () -> new MemoryBlob(blob, blob.length, open, opened));
        try (LayerPipeline pipeline = pipeline(changed)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip).hasMessageContaining("blob has the digest " + digest(blob));
        }
    }

    @Test
    void bounds_the_ratio_beyond_a_gibibyte() throws IOException {
        LayerLimits limits = new LayerLimits(1L << 40, 10, 1000, 100, 27, 0, 8 << 20, TarLimits.DEFAULT);
        byte[] zeros = com.github.luben.zstd.Zstd.compress(new byte[1 << 24], 3);
        ByteArrayOutputStream blob = new ByteArrayOutputStream();
        for (int i = 0; i < 80; i++) {
            blob.writeBytes(zeros);
        }
        Layer layer = layer(0, blob.toByteArray(), new byte[0]);
        try (LayerPipeline pipeline = new LayerPipeline(List.of(layer), limits, new Progress(), false, cores)) {
            pipeline.beginLayer();
            assertThatThrownBy(pipeline::skip)
                    .hasMessageContaining("too many times its size: the limit is 100 (maximumRatio)");
        }
    }
}
