package pve.oci.rootfs;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static pve.oci.rootfs.EntryPaths.path;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.linux.Errno;
import pve.oci.linux.ErrnoException;

class ExistingEntriesTest {
    private final TemporaryRoot root;

    ExistingEntriesTest() throws IOException {
        root = new TemporaryRoot();
    }

    @AfterEach
    void close() throws IOException {
        root.close();
    }

    @Test
    void directories_and_lost_and_found_may_be_there() throws IOException {
        root.shell("mkdir -p var/lib/data lost+found/x; touch lost+found/fragment");
        try (Rootfs rootfs = new Rootfs(root.open())) {
            assertThat(rootfs.existing().toTexts())
                    .hasSize(7)
                    .first()
                    .asString()
                    .contains("\"path\":\"\"");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"touch f", "mkdir -p a/b; touch a/b/f", "ln -s x l", "mkfifo p", "mkdir a; ln -s / a/l"})
    void anything_else_may_not(String command) throws IOException {
        root.shell(command);
        assertThatThrownBy(() -> new Rootfs(root.open()).close()).isInstanceOf(RootfsNotEmptyException.class);
    }

    @Test
    void more_than_the_bound_are_refused() throws IOException {
        root.shell("seq 10050 | xargs mkdir");
        assertThatThrownBy(() -> new Rootfs(root.open()).close())
                .isInstanceOfSatisfying(
                        ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOTEMPTY));
    }

    @Test
    void none_of_them_is_replaced_or_removed() throws IOException {
        root.shell("mkdir -p var/lib lost+found");
        try (Rootfs rootfs = new Rootfs(root.open())) {
            EntryPath path = path("var");
            rootfs.beginLayer(false, true);
            rootfs.removeLowerEntry(rootfs.root(), path);
            assertThatThrownBy(() -> rootfs.createFile(rootfs.root(), path, 0644))
                    .isInstanceOfSatisfying(
                            ErrnoException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EBUSY));
            rootfs.removeLowerChildren(rootfs.root(), path(".wh..wh..opq"));
        }
        assertThat(root.path("var/lib")).isDirectory();
        assertThat(root.path("lost+found")).isDirectory();
    }

    @Test
    void undo_leaves_them_as_they_were() throws IOException {
        root.shell(
                "mkdir -p var/lib; chmod 2711 var; chown 5:6 var; setfattr -n user.a -v b var; touch -d @7 var var/lib .");
        try (Rootfs rootfs = new Rootfs(root.open())) {
            makeThings(rootfs);
            rootfs.undo();
        }
        checkUnchanged();
    }

    @Test
    void another_process_can_undo_by_their_texts() throws IOException {
        root.shell(
                "mkdir -p var/lib; chmod 2711 var; chown 5:6 var; setfattr -n user.a -v b var; touch -d @7 var var/lib .");
        List<String> texts;
        try (Rootfs rootfs = new Rootfs(root.open())) {
            texts = rootfs.existing().toTexts();
            makeThings(rootfs);
        }
        try (Rootfs rootfs = Rootfs.abandoned(root.open(), texts)) {
            rootfs.undo();
        }
        checkUnchanged();
    }

    private static void makeThings(Rootfs rootfs) throws IOException {
        rootfs.beginLayer(true, true);
        EntryPath deep = path("var/lib/a/b/c");
        Directory parent = rootfs.makeParent(deep);
        rootfs.makeSymbolicLink(parent, deep, "x".getBytes(UTF_8), 1, 3, 4);
        rootfs.makeDirectory(rootfs.root(), path("var"), 0700, 0, 0, false);
        rootfs.makeDirectory(rootfs.root(), path("new"), 06755, 1, 2, false);
        rootfs.makeDirectory(rootfs.root(), path("./"), 0700, 8, 9, false);
    }

    private void checkUnchanged() throws IOException {
        assertThat(root.shell("find . -printf '%p %m %U:%G %Ts\\n' | sort; getfattr --only-values -n user.a var"))
                .isEqualTo(". 700 0:0 7\n./var 2711 5:6 7\n./var/lib 755 0:0 7\nb");
    }
}
