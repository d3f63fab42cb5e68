package pve.oci.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import pve.oci.service.WorkerReplyFuzz;
import pve.oci.worker.WorkerRequestFuzz;

/**
 * Runs each target on the inputs in its folder of java/src/test/fuzz, which include all that ever found a fault, and on
 * a few thousand random variations of each.
 */
class CorpusTest {
    private static final Path CORPUS = Path.of(System.getProperty("basedir", ""), "java/src/test/fuzz");
    private static final int MUTATIONS = 300;

    /** As Jazzer calls it. */
    private interface Target {
        void run(byte[] input) throws Exception;
    }

    private static Target target(String name) {
        return switch (name) {
            case "Tar" -> TarFuzz::fuzzerTestOneInput;
            case "Pax" -> PaxFuzz::fuzzerTestOneInput;
            case "Gzip" -> GzipFuzz::fuzzerTestOneInput;
            case "Zstd" -> ZstdFuzz::fuzzerTestOneInput;
            case "Json" -> JsonFuzz::fuzzerTestOneInput;
            case "Frame" -> FrameFuzz::fuzzerTestOneInput;
            case "WorkerRequest" -> WorkerRequestFuzz::fuzzerTestOneInput;
            case "WorkerReply" -> WorkerReplyFuzz::fuzzerTestOneInput;
            case "EntryPath" -> EntryPathFuzz::fuzzerTestOneInput;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static List<Path> list(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    @TestFactory
    List<DynamicTest> breaks_on_no_input() throws IOException {
        List<DynamicTest> tests = new ArrayList<>();
        for (Path folder : list(CORPUS)) {
            String name = folder.getFileName().toString();
            for (Path file : list(folder)) {
                tests.add(DynamicTest.dynamicTest(name + " " + file.getFileName(), () -> {
                    byte[] input = Files.readAllBytes(file);
                    target(name).run(input);
                    mutate(input, target(name));
                }));
            }
        }
        assertThat(tests).hasSizeGreaterThan(20);
        return tests;
    }

    private static void mutate(byte[] input, Target target) throws Exception {
        Random random = new Random(input.length);
        for (int i = 0; i < MUTATIONS; i++) {
            byte[] mutated = java.util.Arrays.copyOf(input, Math.max(1, input.length - random.nextInt(3)));
            for (int j = random.nextInt(4); j >= 0; j--) {
                mutated[random.nextInt(mutated.length)] = (byte) random.nextInt(256);
            }
            target.run(mutated);
        }
    }
}
