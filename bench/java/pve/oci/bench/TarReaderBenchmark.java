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
import pve.oci.linux.NativeBuffer;
import pve.oci.tar.TarLimits;
import pve.oci.tar.TarReader;
import pve.oci.tar.TarSource;

/** Reads all headers of an uncompressed layer that is in memory, and steps over all content. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class TarReaderBenchmark {
    private static final int SLOT_SIZE = 512 << 10;

    @Param("")
    public String tar = "";

    private List<NativeBuffer> pieces = List.of();

    @Setup
    public void read() throws IOException {
        pieces = Pieces.read(tar, SLOT_SIZE);
    }

    /** Returns what it saw, so that nothing is optimised away. */
    @Benchmark
    public long entries() throws IOException {
        TarReader reader = new TarReader(new MemorySource(pieces), TarLimits.DEFAULT);
        long seen = 0;
        while (reader.next()) {
            seen += 1 + reader.entry().nameLength();
            while (reader.nextData()) {
                seen += reader.dataLength();
            }
        }
        reader.finish();
        return seen;
    }

    /** The pieces one after the other. */
    private static final class MemorySource implements TarSource {
        private final List<NativeBuffer> pieces;
        private int index = -1;

        MemorySource(List<NativeBuffer> pieces) {
            this.pieces = pieces;
        }

        @Override
        public boolean advance() {
            index++;
            return index < pieces.size();
        }

        @Override
        public ByteBuffer buffer() {
            return pieces.get(index).buffer();
        }
    }
}
