package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;

class TreeRemovalTest {
    private TemporaryRoot root;

    TreeRemovalTest() throws IOException {
        root = new TemporaryRoot();
    }

    @BeforeEach
    void makeCanary() throws IOException {
        root.shell("mkdir t outside; echo x >outside/canary");
    }

    @AfterEach
    void close() throws IOException {
        root.close();
    }

    private void remove(Set<String> survivors) throws IOException {
        TreeRemoval removal = new TreeRemoval(
                (device, inode, name) -> survivors.contains(new String(name, UTF_8)), new Steps(1_000_000));
        try (Fd fd = TemporaryRoot.open(root.path())) {
            removal.remove(fd, "t".getBytes(UTF_8));
        }
    }

    @Test
    void removes_every_type_and_follows_nothing() throws IOException {
        root.shell("cd t; mkdir -p a/b/c; echo 1 >a/f; ln -s ../../outside a/l; ln -s / a/b/r; mkfifo a/p;"
                + " mknod a/n c 1 3");
        remove(Set.of());

        assertThat(root.path("t")).doesNotExist();
        assertThat(root.path("outside/canary")).exists();
    }

    @Test
    void removes_a_file_too() throws IOException {
        root.shell("rmdir t; ln outside/canary t");
        remove(Set.of());

        assertThat(root.path("t")).doesNotExist();
    }

    @Test
    void removes_a_tree_that_is_deeper_than_a_path_can_be_long() throws IOException {
        root.shell("python3 -c '\nimport os\nos.chdir(\"t\")\nfor i in range(5000):\n os.mkdir(\"d\" * 100);"
                + " os.chdir(\"d\" * 100)\n'");
        remove(Set.of());

        assertThat(root.path("t")).doesNotExist();
    }

    @Test
    void keeps_what_survives_and_the_way_to_it() throws IOException {
        root.shell("cd t; mkdir -p a/b/c a/x/y; touch a/b/c/keep a/b/c/go a/b/go a/x/y/go");
        remove(Set.of("keep"));

        assertThat(root.path("t/a/b/c")).isDirectoryContaining("glob:**/keep").isDirectoryNotContaining("glob:**/go");
        assertThat(root.path("t/a/x")).doesNotExist();
        assertThat(root.path("t/a/b/go")).doesNotExist();
    }

    @Test
    void sees_to_a_wide_directory_in_parts() throws IOException {
        // more names than are collected at a time, some of which stay
        root.shell("cd t; seq -f '" + "n".repeat(200)
                + "%g' 12000 | xargs mkdir; mkdir keep; mkdir stay; touch keep/f stay/keep");
        remove(Set.of("keep"));

        try (var names = java.nio.file.Files.list(root.path("t"))) {
            assertThat(names.map(Path::getFileName).map(Path::toString)).containsExactlyInAnyOrder("keep", "stay");
        }
    }
}
