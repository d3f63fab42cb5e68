package pve.oci.daemon;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import pve.oci.service.IdMaps;

/**
 * The command line of {@code pve-oci-worker}, the launcher that builds the worker's namespaces and creates the JVM in
 * them.
 *
 * @param program the launcher's path
 * @param home directory of the jars and the native libraries, which the worker sees read-only
 * @param libraryDirectory where the libraries for JNI are
 * @param javaHome of the JDK that the worker runs on
 * @param extraOptions further options for the worker's JVM
 * @param zstdWindow bytes that a zstd frame may ask for, as it is set when a worker starts
 */
record SandboxLauncher(
        Path program,
        Path home,
        Path libraryDirectory,
        Path javaHome,
        List<String> extraOptions,
        LongSupplier zstdWindow)
        implements WorkerLauncher {
    private static final String WORKER_CLASS = "pve/oci/worker/WorkerMain";

    private static final long HEAP = 256L << 20;
    private static final long DIRECT_MEMORY = 384L << 20;
    private static final long JVM_MEMORY = 256L << 20;

    @Override
    public List<String> command(String socketPath, IdMaps maps) {
        return command(socketPath, maps, List.of());
    }

    /** In a burst all processors are busy, and most of what is compiled for a first job does not pay in that job. */
    @Override
    public List<String> commandInBurst(String socketPath, IdMaps maps) {
        return command(socketPath, maps, List.of("-XX:CompileThresholdScaling=3"));
    }

    private List<String> command(String socketPath, IdMaps maps, List<String> compilerOptions) {
        List<String> command = new ArrayList<>();
        command.addAll(List.of(program.toString(), "--socket", socketPath));
        command.addAll(List.of("--jvm", javaHome.resolve("lib/server/libjvm.so").toString()));
        command.addAll(List.of("--home", home.toString()));
        if (!libraryDirectory.startsWith(home)) {
            command.addAll(List.of("--bind", libraryDirectory.toString()));
        }
        if (!maps.isPrivileged()) {
            command.addAll(List.of("--uidmap", maps.uid().asArgument()));
            command.addAll(List.of("--gidmap", maps.gid().asArgument()));
        }
        if (maps.onlyReads()) {
            command.add("--only-reads");
        }
        command.addAll(List.of("--data", Long.toString(dataLimit())));
        command.addAll(List.of("--class", WORKER_CLASS, "--"));
        command.addAll(compilerOptions);
        command.addAll(jvmOptions());
        return command;
    }

    /**
     * How much memory a worker may write (RLIMIT_DATA): heap, direct memory, the windows of two zstd decompressors (two
     * layers are read at a time), and the JVM itself. On four processors a worker takes 90 MiB beside the windows, with
     * the heap's first 24 MiB and all threads (t/85-worker-memory.t). Most of the JVM's 256 MiB are for compiled code
     * and for the stacks of further threads.
     */
    private long dataLimit() {
        return HEAP + DIRECT_MEMORY + 2 * zstdWindow.getAsLong() + JVM_MEMORY;
    }

    /** The launcher adds options that any JVM in the sandbox needs: native/sandbox.c. */
    private List<String> jvmOptions() {
        List<String> options = new ArrayList<>(List.of(
                "-Xmx" + HEAP,
                // for slots (up to 128 MiB with the largest read-ahead) and for the bookkeeping of layers with millions
                // of entries
                "-XX:MaxDirectMemorySize=" + DIRECT_MEMORY,
                // not more: the more memory is in use, the longer killing the worker takes, and that happens before the
                // reply
                "-Xms24m",
                "-Xmn12m",
                // the JVM ignores a class-data archive that does not fit it or the jars; that need not be logged
                "-Xlog:disable",
                "-Xlog:all=warning:stderr",
                "-Xlog:cds*=off:stderr",
                "-Dsun.java.launcher=SUN_STANDARD",
                "-Dpve.oci.home=" + home,
                "-Djna.boot.library.path=" + libraryDirectory,
                "-DZstdNativePath=" + libraryDirectory.resolve("libzstd-jni.so"),
                "-Djava.class.path=" + classPath()));
        Path archive = home.resolve("worker.jsa");
        if (Files.isRegularFile(archive)) {
            options.add("-XX:SharedArchiveFile=" + archive);
            options.add("-Xshare:auto");
        }
        if (extraOptions.stream().noneMatch(option -> option.contains("TieredStopAtLevel"))) {
            // a second compiler thread delays the start; with C2 there have to be two
            options.add("-XX:CICompilerCount=1");
        }
        if (Runtime.version().feature() >= 24) {
            // otherwise the JVM warns about native libraries; its other option against that disables the class-data
            // archive
            options.add("--illegal-native-access=allow");
        }
        options.addAll(extraOptions);
        return options;
    }

    private String classPath() {
        List<Path> jars = new ArrayList<>();
        try (DirectoryStream<Path> libraries = Files.newDirectoryStream(home.resolve("lib"), "*.jar")) {
            libraries.forEach(jars::add);
        } catch (IOException e) {
            throw new IllegalStateException("cannot list " + home.resolve("lib"), e);
        }
        // a class-data archive is only of use with the same class path, in the same order
        return home.resolve("pve-oci.jar")
                + jars.stream()
                        .map(Path::toString)
                        .sorted()
                        .map(jar -> ":" + jar)
                        .collect(Collectors.joining());
    }
}
