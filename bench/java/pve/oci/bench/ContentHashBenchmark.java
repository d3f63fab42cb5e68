package pve.oci.bench;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import pve.oci.archive.ContentHash;
import pve.oci.linux.NativeBuffer;
import pve.oci.oci.Digest;

/** Hashes 64 MiB, slot by slot. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class ContentHashBenchmark {
    private static final int SLOT_SIZE = 512 << 10;
    private static final int SLOTS = 128;

    @Param({"sha256", "sha512"})
    public String algorithm = "";

    private final NativeBuffer slot = NativeBuffer.allocate(SLOT_SIZE);

    @Benchmark
    public Digest hash() {
        try (ContentHash hash = new ContentHash(algorithm)) {
            for (int i = 0; i < SLOTS; i++) {
                hash.update(slot, SLOT_SIZE);
            }
            return hash.finish();
        }
    }
}
