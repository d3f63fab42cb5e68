package pve.oci.bench;

import java.io.IOException;
import java.lang.ref.Reference;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.varlink.VarlinkException;
import pve.oci.worker.JobRequest;
import pve.oci.worker.JobRunner;

/**
 * A whole job inside one JVM, verified and applied to a tmpfs of its own: the worker without its process. With an
 * archive whose layers are stored uncompressed it is hashing and applying alone. Needs root.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class ApplyBenchmark {
    private static final int AT_FDCWD = -100;

    @Param("")
    public String archive = "";

    private @Nullable Fd root;

    /** A new tree for every run; that the old one goes is not measured. */
    @Setup(Level.Invocation)
    public void mount() throws IOException {
        root = Mounts.tmpfs(0, "mode", "0755");
    }

    @TearDown(Level.Invocation)
    public void unmount() {
        if (root != null && root.isOpen()) {
            root.close();
        }
    }

    @Benchmark
    public Map<String, @Nullable Object> extract() throws IOException, VarlinkException {
        Map<String, @Nullable Object> range = Map.of("inside", 0L, "count", 65536L);
        JobRequest request = JobRequest.of(
                JobRequest.Action.EXTRACT.method(),
                Map.of(
                        "archiveFileDescriptor", 0,
                        "archiveName", archive,
                        "rootDirectoryFileDescriptor", 1,
                        "selector", Map.of(),
                        "uidMap", List.of(range),
                        "gidMap", List.of(range),
                        "limits", Map.of()));
        return new JobRunner(request, progress -> {}).run(open(), root);
    }

    private Fd open() throws IOException {
        CString path = CString.of(archive);
        try {
            return new Fd(Libc.openat(AT_FDCWD, path.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        } finally {
            Reference.reachabilityFence(path);
        }
    }
}
