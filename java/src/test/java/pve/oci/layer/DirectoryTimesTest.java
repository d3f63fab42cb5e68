package pve.oci.layer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static pve.oci.rootfs.EntryPaths.path;

import java.io.IOException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import pve.oci.rootfs.Directory;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.FileMetadata;
import pve.oci.rootfs.Rootfs;
import pve.oci.rootfs.Steps;
import pve.oci.rootfs.TemporaryRoot;

class DirectoryTimesTest {
    private final TemporaryRoot root;
    private final Rootfs rootfs;
    private final DirectoryTimes times = new DirectoryTimes();

    DirectoryTimesTest() throws IOException {
        root = new TemporaryRoot();
        rootfs = new Rootfs(root.open(), new Steps(1_000_000));
        rootfs.beginLayer(true, true);
    }

    @AfterEach
    void close() throws IOException {
        rootfs.close();
        root.close();
    }

    private void directory(String name, long seconds) throws IOException {
        EntryPath path = path(name);
        FileMetadata metadata = new FileMetadata(0755, 0, 0, seconds, 0);
        Directory directory = rootfs.makeDirectory(rootfs.makeParent(path), path, metadata, false);
        times.add(directory, metadata);
    }

    @Test
    void hold_after_everything_else_and_the_last_one_counts() throws IOException {
        directory("a", 1);
        directory("a/b", 2);
        directory("a", 3);
        rootfs.makeParent(path("a/b/c/d"));
        times.apply(rootfs);

        assertThat(root.shell("stat -c %Y a a/b")).isEqualTo("3\n2\n");
    }

    @Test
    void are_not_set_on_what_has_taken_the_name() throws IOException {
        directory("other", 9);
        directory("a", 1);
        rootfs.makeSymbolicLink(
                rootfs.root(), path("a"), "other".getBytes(UTF_8), 5, new FileMetadata(0777, 0, 0, 0, 0));
        times.apply(rootfs);

        assertThat(root.shell("stat -c %Y other")).isEqualTo("9\n");
    }

    @Test
    void fit_into_pieces_however_many_there_are() throws IOException {
        for (int i = 0; i < 3000; i++) {
            directory("d" + "x".repeat(200) + i, i);
        }
        times.apply(rootfs);

        assertThat(root.shell("stat -c %Y d*2999 d*x0 d*x1500")).isEqualTo("2999\n0\n1500\n");
    }
}
