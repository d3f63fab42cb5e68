package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.oci.ImageException;
import pve.oci.varlink.VarlinkException;
import pve.oci.worker.JobRequest;
import pve.oci.worker.JobRunner;

/**
 * Runs every case through the whole engine in this process, on a detached mount, with the rules of a user namespace.
 */
class ConformanceTest {
    private static final int AT_FDCWD = -100;

    @TestFactory
    Stream<DynamicTest> gives_the_tree_or_the_error() throws IOException {
        assumeTrue(Libc.getuid() == 0, "owners and mounts need root");
        return ConformanceCase.all().stream().map(x -> DynamicTest.dynamicTest(x.name(), () -> run(x)));
    }

    private static void run(ConformanceCase conformanceCase) throws IOException, InterruptedException {
        Path work = Files.createTempDirectory("pve-oci-conformance");
        try {
            check(conformanceCase, work);
        } finally {
            // the JDK follows paths by their names: trees may be deeper than a path can be long
            new ProcessBuilder("rm", "-rf", work.toString()).start().waitFor();
        }
    }

    private static void check(ConformanceCase conformanceCase, Path work) throws IOException {
        Path archive = work.resolve("image.tar");
        Files.write(archive, conformanceCase.archive());
        Path rootfs = Files.createDirectory(work.resolve("rootfs"));
        Path canary = Files.writeString(work.resolve("canary"), "untouched");
        String error = null;
        Map<String, @Nullable Object> reply = Map.of();
        try {
            reply = extract(conformanceCase, archive, rootfs);
        } catch (ImageException e) {
            error = e.getMessage();
        }
        String wanted = conformanceCase.error();
        if (wanted == null) {
            assertThat(error).as(conformanceCase.name()).isNull();
            assertThat(ExpectedTree.compare(
                            conformanceCase.tree(), TreeScanner.scan(rootfs.toString()), conformanceCase.isLatin1()))
                    .as(conformanceCase.name())
                    .isEmpty();
            checkReply(conformanceCase, reply);
        } else {
            assertThat(error).as(conformanceCase.name()).isNotNull();
            assertThat(error).startsWith(archive.toString()).doesNotContain("\n");
            assertThat(error)
                    .as(conformanceCase.name())
                    .matches(Pattern.compile(".*(?:" + wanted + ").*", Pattern.CASE_INSENSITIVE));
            assertThat(TreeScanner.scan(rootfs.toString())).containsOnlyKeys(".");
        }
        assertThat(canary).hasContent("untouched");
        assertThat(work)
                .isDirectoryNotContaining(x -> !List.of("image.tar", "rootfs", "canary")
                        .contains(x.getFileName().toString()));
    }

    private static void checkReply(ConformanceCase conformanceCase, Map<String, @Nullable Object> reply) {
        Object warnings = conformanceCase.description().get("warnings");
        String found = String.valueOf(Data.object(reply.get("result")).get("warnings"));
        if (warnings instanceof String pattern) {
            assertThat(found)
                    .as(conformanceCase.name())
                    .matches(Pattern.compile(".*" + pattern + ".*", Pattern.CASE_INSENSITIVE));
        } else {
            assertThat(found).as(conformanceCase.name()).isEqualTo("[]");
        }
        Object config = conformanceCase.description().get("config");
        if (config != null) {
            assertThat(reply.get("config")).as(conformanceCase.name()).isEqualTo(config);
        }
    }

    private static Map<String, @Nullable Object> extract(ConformanceCase conformanceCase, Path archive, Path rootfs)
            throws IOException {
        List<Map<String, Integer>> map = List.of(Map.of("inside", 0, "count", 65_536));
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        parameters.put("archiveFileDescriptor", 0);
        parameters.put("rootDirectoryFileDescriptor", 1);
        parameters.put("archiveName", archive.toString());
        parameters.put("selector", conformanceCase.selector());
        parameters.put("uidMap", map);
        parameters.put("gidMap", map);
        parameters.put("limits", conformanceCase.options());
        int umask = Libc.umask(0);
        try {
            JobRequest request = JobRequest.of(JobRequest.Action.EXTRACT.method(), parameters);
            return new JobRunner(request, event -> {}).run(open(archive), detachedMount(rootfs));
        } catch (VarlinkException e) {
            throw new IllegalArgumentException(conformanceCase.name(), e);
        } finally {
            Libc.umask(umask);
        }
    }

    private static Fd open(Path path) throws IOException {
        CString name = CString.of(path.toString().getBytes(UTF_8));
        return new Fd(Libc.openat(AT_FDCWD, name.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
    }

    /** A root directory as the daemon hands it over: ".." ends at it too. */
    private static Fd detachedMount(Path path) throws IOException {
        CString name = CString.of(path.toString().getBytes(UTF_8));
        return new Fd(Libc.openTree(AT_FDCWD, name.address(), Libc.OPEN_TREE_CLONE | Libc.OPEN_TREE_CLOEXEC));
    }
}
