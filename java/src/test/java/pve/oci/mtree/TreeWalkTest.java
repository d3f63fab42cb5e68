package pve.oci.mtree;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

/** The two threads of a walk: together they see everything in order, and nothing is left of them however it ends. */
class TreeWalkTest {
    private TemporaryRoot root;
    private Fd fd;

    @BeforeEach
    void makeTree() throws IOException {
        root = new TemporaryRoot();
        root.shell("for d in $(seq 120); do mkdir -p d/$d/e; touch $(seq -f d/$d/%g 20); done; seq 1500 | xargs touch");
        fd = TemporaryRoot.open(root.path());
    }

    @AfterEach
    void close() throws IOException {
        fd.close();
        root.close();
    }

    private void walk(long steps, Predicate<TreeEntry> isEntered, TreeWalk.EntryVisitor visitor) throws IOException {
        new TreeWalk(fd, new Steps(steps)).run(isEntered, visitor);
    }

    private static long openDirectories(Path below) throws IOException {
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            return descriptors.filter(each -> leadsBelow(each, below)).count();
        }
    }

    private static boolean leadsBelow(Path link, Path directory) {
        try {
            return Files.readSymbolicLink(link).startsWith(directory);
        } catch (IOException e) {
            return false; // closed meanwhile
        }
    }

    private void assertNothingIsLeft() throws IOException {
        assertThat(openDirectories(root.path())).as("the test's own").isEqualTo(1);
        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(each -> each.getName().equals("tree-listing"));
    }

    @Test
    void visits_everything_in_order() throws IOException {
        List<TreeEntry> entries = new ArrayList<>();

        walk(Long.MAX_VALUE, directory -> true, (entry, isMountPoint) -> entries.add(entry));

        assertThat(entries).hasSize(1 + 120 * 22 + 1500).isSortedAccordingTo(TreeEntry::compareTo);
        assertNothingIsLeft();
    }

    @Test
    void ends_with_the_visitor() throws IOException {
        for (long steps : List.of(0L, 1L, 2000L, 3500L)) {
            assertThatThrownBy(() -> walk(steps, directory -> true, (entry, isMountPoint) -> {}))
                    .isInstanceOf(Steps.ExceededException.class);

            assertNothingIsLeft();
        }
    }

    @Test
    void ends_with_the_listing_after_all_that_was_listed() throws IOException {
        for (String at : List.of("d", "d/1", "d/77")) {
            List<String> seen = new ArrayList<>();

            assertThatThrownBy(() -> walk(
                            Long.MAX_VALUE,
                            directory -> {
                                if (PathSet.text(directory.path()).equals(at)) {
                                    throw new IllegalStateException("here");
                                }
                                return true;
                            },
                            (entry, isMountPoint) -> seen.add(PathSet.text(entry.path()))))
                    .isInstanceOf(IllegalStateException.class);

            assertThat(seen).doesNotContain(at).hasSizeGreaterThan(at.equals("d") ? 1499 : 1500);
            assertNothingIsLeft();
        }
    }
}
