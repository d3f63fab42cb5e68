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
        try (Rootfs rootfs = new Rootfs(root.open(), new Steps(1_000_000))) {
            assertThat(rootfs.existing().toJson()).hasSize(7).first().asString().startsWith("{path=, isDirectory=true");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"touch f", "mkdir -p a/b; touch a/b/f", "ln -s x l", "mkfifo p", "mkdir a; ln -s / a/l"})
    void anything_else_may_not(String command) throws IOException {
        root.shell(command);
        assertThatThrownBy(() -> new Rootfs(root.open(), new Steps(1_000_000)).close())
                .isInstanceOf(RootfsNotEmptyException.class);
    }

    @Test
    void more_than_the_bound_are_refused() throws IOException {
        root.shell("seq 10050 | xargs mkdir");
        assertThatThrownBy(() -> new Rootfs(root.open(), new Steps(1_000_000)).close())
                .isInstanceOf(RootfsNotEmptyException.class)
                .hasMessage("it holds more than 10000 entries");
    }

    @Test
    void volumes_mounted_below_may_hold_anything() throws IOException {
        root.shell(
                "mkdir small large; mount -t tmpfs x small; mount -t tmpfs x large; echo 1 > small/f; mkdir large/d");
        root.shell("cd large/d; seq 1100 | xargs touch");
        try {
            try (Rootfs rootfs = new Rootfs(root.openWithVolumes(), new Steps(1_000_000))) {
                rootfs.beginLayer(true, true);
                EntryPath made = path("small/made/deep");
                rootfs.makeSymbolicLink(rootfs.makeParent(made), made, "x".getBytes(UTF_8), 1, metadata(0777, 0, 0));
                assertThatThrownBy(() -> rootfs.makeParent(path("large/made")))
                        .isInstanceOf(ProtectedEntryException.class);
                rootfs.makeDirectory(rootfs.root(), path("large"), metadata(0700, 0, 0), false);
                assertThatThrownBy(() -> rootfs.makeParent(path("large/d/made")))
                        .isInstanceOf(ProtectedEntryException.class)
                        .hasMessageContaining(
                                "would write into large, which is on a mounted volume with more than 1000 entries");
                rootfs.undo();
            }
            assertThat(root.shell("find . -path './large/d/*' | wc -l; find small; stat -c %a large"))
                    .isEqualTo("1100\nsmall\nsmall/f\n1777\n");
        } finally {
            root.shell("umount small large");
        }
    }

    @Test
    void the_error_says_what_may_be_there() throws IOException {
        root.shell("mkdir -p a/lost+found; touch a/lost+found/f");
        assertThatThrownBy(() -> new Rootfs(root.open(), new Steps(1_000_000)).close())
                .hasMessage("it holds a/lost+found/f;"
                        + " only lost+found and volumes mounted below it may hold anything but directories");
    }

    @Test
    void none_of_them_is_replaced_or_removed() throws IOException {
        root.shell("mkdir -p var/lib lost+found");
        try (Rootfs rootfs = new Rootfs(root.open(), new Steps(1_000_000))) {
            EntryPath path = path("var");
            rootfs.beginLayer(false, true);
            rootfs.whiteouts().apply(path, Whiteouts.Kind.ENTRY);
            assertThatThrownBy(() -> rootfs.createFile(rootfs.root(), path, metadata(0644, 0, 0)))
                    .isInstanceOf(ProtectedEntryException.class)
                    .hasMessageContaining("would replace var, which is not of this image");
            rootfs.whiteouts().apply(path("x"), Whiteouts.Kind.SIBLINGS);
        }
        assertThat(root.path("var/lib")).isDirectory();
        assertThat(root.path("lost+found")).isDirectory();
    }

    @Test
    void undo_leaves_them_as_they_were() throws IOException {
        root.shell("mkdir -p var/lib; chmod 2711 var; chown 5:6 var; setfattr -n user.a -v b var; touch -d @7"
                + " var var/lib .");
        try (Rootfs rootfs = new Rootfs(root.open(), new Steps(1_000_000))) {
            makeThings(rootfs);
            rootfs.undo();
        }
        checkUnchanged();
    }

    @Test
    void another_process_can_undo_by_their_texts() throws IOException {
        root.shell("mkdir -p var/lib; chmod 2711 var; chown 5:6 var; setfattr -n user.a -v b var; touch -d @7"
                + " var var/lib .");
        List<?> json;
        try (Rootfs rootfs = new Rootfs(root.open(), new Steps(1_000_000))) {
            json = rootfs.existing().toJson();
            makeThings(rootfs);
        }
        try (Rootfs rootfs = Rootfs.abandoned(root.open(), json, new Steps(0))) {
            rootfs.undo();
        }
        checkUnchanged();
    }

    private static void makeThings(Rootfs rootfs) throws IOException {
        rootfs.beginLayer(true, true);
        EntryPath deep = path("var/lib/a/b/c");
        Directory parent = rootfs.makeParent(deep);
        rootfs.makeSymbolicLink(parent, deep, "x".getBytes(UTF_8), 1, metadata(0777, 3, 4));
        rootfs.makeDirectory(rootfs.root(), path("var"), metadata(0700, 0, 0), false);
        rootfs.makeDirectory(rootfs.root(), path("new"), metadata(06755, 1, 2), false);
        rootfs.makeDirectory(rootfs.root(), path("./"), metadata(0700, 8, 9), false);
    }

    private static FileMetadata metadata(int mode, int uid, int gid) {
        return new FileMetadata(mode, uid, gid, 0, 0);
    }

    private void checkUnchanged() throws IOException {
        assertThat(root.shell("find . -printf '%p %m %U:%G %Ts\\n' | sort; getfattr --only-values -n user.a var"))
                .isEqualTo(". 700 0:0 7\n./var 2711 5:6 7\n./var/lib 755 0:0 7\nb");
    }
}
