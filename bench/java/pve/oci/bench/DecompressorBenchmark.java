package pve.oci.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import pve.oci.compress.Compression;
import pve.oci.compress.Decompressor;
import pve.oci.compress.Decompressors;
import pve.oci.linux.NativeBuffer;

/** Decompresses a layer's blob that is in memory. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class DecompressorBenchmark {
    private static final int INPUT_SIZE = 256 << 10;
    private static final int SLOT_SIZE = 512 << 10;

    @Param("")
    public String blob = "";

    private List<NativeBuffer> pieces = List.of();
    private final ByteBuffer out = NativeBuffer.allocate(SLOT_SIZE).buffer();

    @Setup
    public void read() throws IOException {
        pieces = Pieces.read(blob, INPUT_SIZE);
    }

    /** Returns the bytes of content. */
    @Benchmark
    public long inflate() throws IOException {
        long size = 0;
        Compression compression = Compression.detect(pieces.get(0).buffer().duplicate());
        try (Decompressor decompressor = Decompressors.of(compression, Decompressor.DEFAULT_WINDOW_LOG_MAX)) {
            for (NativeBuffer piece : pieces) {
                ByteBuffer in = piece.buffer().duplicate();
                boolean mayHaveMore = true;
                while (mayHaveMore) {
                    out.clear();
                    decompressor.decompress(in, out);
                    size += out.position();
                    mayHaveMore = !out.hasRemaining();
                }
            }
            decompressor.finish();
        }
        return size;
    }
}
