package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static pve.oci.rootfs.EntryPaths.path;

import java.io.IOException;
import java.nio.file.Files;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Renames;

class RootfsTest {
    private final TemporaryRoot root;
    private final Rootfs rootfs;

    RootfsTest() throws IOException {
        root = new TemporaryRoot();
        rootfs = new Rootfs(root.open(), new Steps(1_000_000));
    }

    @BeforeEach
    void begin() {
        rootfs.beginLayer(true, true);
    }

    @AfterEach
    void close() throws IOException {
        rootfs.close();
        root.close();
    }

    private void file(String name) throws IOException {
        EntryPath path = path(name);
        rootfs.createFile(rootfs.makeParent(path), path, mode(0644)).close();
    }

    private static FileMetadata mode(int mode) {
        return new FileMetadata(mode, 0, 0, 0, 0);
    }

    private void symlink(String name, String target) throws IOException {
        EntryPath path = path(name);
        rootfs.makeSymbolicLink(
                rootfs.makeParent(path), path, target.getBytes(UTF_8), target.getBytes(UTF_8).length, mode(0777));
    }

    @ParameterizedTest
    @CsvSource({
        "l, d, l/x, d/x",
        "l, /d, l/x, d/x",
        "l, ../../../../d, l/x, d/x",
        "l, d/../d/./e//, l/x, d/e/x",
        "s/l, ../d, s/l/x, d/x",
        "s/l, .., s/l/x, x",
        "l, /, l/d/x, d/x",
        "l, /proc/self/root/etc, l/x, proc/self/root/etc/x",
    })
    void follows_links_of_parents_inside_the_root(String link, String target, String name, String made)
            throws IOException {
        file("d/other");
        symlink(link, target);
        file(name);

        assertThat(root.path(made)).isRegularFile();
    }

    @Test
    void follows_forty_links_and_no_more() throws IOException {
        file("d/x");
        symlink("l1", "d");
        for (int i = 2; i <= 41; i++) {
            symlink("l" + i, "l" + (i - 1));
        }
        file("l40/y");

        assertThat(root.path("d/y")).exists();
        assertThatThrownBy(() -> file("l41/z"))
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ELOOP));
    }

    @ParameterizedTest
    @ValueSource(strings = {"no/such", "f", "f/x", "loop", "loop/x", "dangling", "dangling/x"})
    void finds_no_directory_where_there_is_none(String name) throws IOException {
        file("f");
        symlink("loop", "loop");
        symlink("dangling", "no/where");
        EntryPath path = path(name);

        assertThat(rootfs.findDirectory(path)).isNull();
        assertThat(root.path("no")).doesNotExist();
    }

    @Test
    void finds_the_directory_that_has_taken_a_name_since() throws IOException {
        file("d/e/x");
        file("d/e");
        file("d/e/y");
        symlink("d", "other");
        file("d/e/z");

        assertThat(root.path("other/e/z")).exists();
        assertThat(root.path("d")).isSymbolicLink();
    }

    @Test
    void keeps_both_directories_of_a_hard_link_open_however_deep_they_are() throws IOException {
        String first = "a/".repeat(1000) + "f";
        String second = "b/".repeat(1000) + "g";
        file(first);
        Directory parent = rootfs.makeParent(path(second));
        Directory target = rootfs.findParent(path(first));

        assertThat(target).isNotNull();
        if (target != null) {
            rootfs.makeHardLink(parent, path(second), target, path(first));
            assertThat(rootfs.typeOf(parent, path(second))).isNotZero();
        }
    }

    @Test
    void a_whiteout_through_a_link_of_its_own_layer_removes_nothing() throws IOException {
        file("d/x");
        symlink("lower", "d");
        rootfs.beginLayer(false, true);
        symlink("upper", "d");
        rootfs.whiteouts().apply(path("upper/x"), Whiteouts.Kind.ENTRY);
        assertThat(root.path("d/x")).exists();

        rootfs.whiteouts().apply(path("lower/x"), Whiteouts.Kind.ENTRY);
        assertThat(root.path("d/x")).doesNotExist();
    }

    @Test
    void notices_a_whiteout_that_comes_too_late() throws IOException {
        file("d/x");
        symlink("l", "d");
        rootfs.beginLayer(false, true);
        file("l/new");

        assertThatThrownBy(() -> rootfs.whiteouts().apply(path("l"), Whiteouts.Kind.ENTRY))
                .isInstanceOf(WhiteoutOrderException.class);
        rootfs.beginLayer(false, false);
        rootfs.whiteouts().collect(path("l"), Whiteouts.Kind.ENTRY);
        rootfs.whiteouts().applyCollected();
        assertThat(root.path("l")).doesNotExist();
    }

    @Test
    void walking_through_links_takes_steps_and_ends_with_them() throws IOException {
        try (TemporaryRoot other = new TemporaryRoot();
                Rootfs limited = new Rootfs(other.open(), new Steps(2000))) {
            limited.beginLayer(true, true);
            byte[] target = "d/".repeat(500).getBytes(UTF_8);
            limited.makeParent(path("d/".repeat(500) + "f"));
            limited.makeSymbolicLink(limited.root(), path("l"), target, target.length, mode(0777));

            assertThatThrownBy(() -> {
                        for (int i = 0; i < 100; i++) {
                            limited.makeParent(path("l/f"));
                            limited.makeSymbolicLink(limited.root(), path("l"), target, target.length, mode(0777));
                        }
                    })
                    .isInstanceOf(Steps.ExceededException.class);
            limited.undo();
            assertThat(other.path("d")).doesNotExist();
        }
    }

    @Test
    void resolves_while_others_rename_on_the_same_machine() throws Exception {
        symlink("a/b/c/l", "../../../a/b/../b/c/../../../d");
        file("d/x");
        try (var renames = new Renames()) {
            for (int i = 0; i < 3000; i++) {
                rootfs.beginLayer(true, true);
                assertThat(rootfs.findParent(path("a/b/c/l/x"))).isNotNull();
            }
            assertThat(renames.goOn()).isTrue();
        }
    }

    @Test
    void hard_link_over_its_own_target_changes_nothing() throws IOException {
        file("a");
        rootfs.makeHardLink(rootfs.root(), path("b"), rootfs.root(), path("a"));
        rootfs.makeHardLink(rootfs.root(), path("b"), rootfs.root(), path("a"));

        assertThat(Files.getAttribute(root.path("a"), "unix:nlink")).isEqualTo(2);
    }

    @Test
    void a_root_with_a_set_group_id_bit_hands_nothing_on() throws IOException {
        rootfs.makeDirectory(rootfs.root(), path("./"), new FileMetadata(02755, 0, 77, 0, 0), false);
        file("f");
        rootfs.makeDirectory(rootfs.root(), path("d"), mode(0755), false);

        root.shell("test \"$(stat -c %g:%a d)\" = 0:755");
    }
}
