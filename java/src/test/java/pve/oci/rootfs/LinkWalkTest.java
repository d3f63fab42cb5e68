package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;

class LinkWalkTest {
    private final TemporaryRoot root;
    private final Steps steps = new Steps(1_000_000);
    private LinkWalk walk;
    private Directory top;

    LinkWalkTest() throws IOException {
        root = new TemporaryRoot();
        ExistingEntries existing;
        try (Fd fd = TemporaryRoot.open(root.path())) {
            existing = ExistingWalk.read(fd);
        }
        root.shell("mkdir -p a/b/c d");
        ExtendedAttributes extended = new ExtendedAttributes();
        LayerEntries entries = new LayerEntries(existing, extended);
        DirectoryOpener opener = new DirectoryOpener(extended, entries, steps);
        walk = new LinkWalk(opener);
        Fd fd = TemporaryRoot.open(root.path());
        top = opener.describe(fd, new byte[0], LinkUse.NONE);
    }

    @BeforeEach
    void begin() {
        assertThat(steps.done()).isZero();
    }

    @AfterEach
    void close() throws IOException {
        top.close();
        root.close();
    }

    private String walk(String path, boolean makes) throws IOException {
        try (Directory found = walk.open(top, path.getBytes(UTF_8), makes)) {
            return new String(found.path(), UTF_8);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "ln -s a/b l, l/c, a/b/c",
        "ln -s /a l, l/b, a/b",
        "ln -s ../../../a/b a/b/l, a/b/l/c, a/b/c",
        "ln -s ../.. a/b/c/l, a/b/c/l/b, a/b",
        "ln -s a/b/../../d l, l, d",
        "ln -s l2/c l; ln -s a/b l2, l, a/b/c",
        "ln -s ./a/./b// l, l, a/b",
    })
    void tells_the_path_without_links(String command, String path, String expected) throws IOException {
        root.shell(command);
        assertThat(walk(path, false)).isEqualTo(expected);
    }

    @Test
    void dots_beyond_the_root_stay_at_the_root() throws IOException {
        root.shell("ln -s ../../../../../../etc/../.. l");
        assertThat(walk("l/a", true)).isEqualTo("a");
    }

    @Test
    void makes_what_is_missing_inside_the_root_only_when_asked() throws IOException {
        root.shell("ln -s /new/../newer/x l");
        assertThatThrownBy(() -> walk("l", false))
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOENT));
        assertThat(walk("l", true)).isEqualTo("newer/x");
        assertThat(root.path("newer/x")).isDirectory();
    }

    @Test
    void a_circle_ends_and_so_does_a_link_to_a_file() throws IOException {
        root.shell("ln -s m l; ln -s l m; touch f; ln -s f n");
        assertThatThrownBy(() -> walk("l", true))
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ELOOP));
        assertThatThrownBy(() -> walk("n", true))
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOTDIR));
    }

    @Test
    void steps_grow_with_the_length_of_the_way_and_not_with_its_square() throws IOException {
        String deep = "x/".repeat(1000);
        root.shell("p=; for i in $(seq 1000); do p=${p}x/; done; mkdir -p $p; ln -s $p l");
        walk("l", false);
        long once = steps.done();

        assertThat(once).isLessThan(5 * 1000);
        assertThat(walk("l", false)).isEqualTo(deep.substring(0, deep.length() - 1));
    }

    @Test
    void no_way_is_longer_than_a_path_may_be() throws IOException {
        String name = "n".repeat(200) + "/";
        root.shell("ln -s '" + name.repeat(19) + "' l");
        assertThatThrownBy(() -> walk("l/" + name.repeat(10), true))
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENAMETOOLONG));
    }
}
