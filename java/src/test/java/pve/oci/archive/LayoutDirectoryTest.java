package pve.oci.archive;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Renames;

class LayoutDirectoryTest {
    @TempDir
    Path folder;

    /** The kernel resolves these ".."; without another attempt one of a few fails. */
    @Test
    void follows_links_while_others_rename_on_the_same_machine() throws Exception {
        Files.createDirectory(folder.resolve("a"));
        Files.writeString(folder.resolve("file"), "12345");
        Files.createSymbolicLink(folder.resolve("link"), Path.of("a/../".repeat(20) + "file"));
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
        Fd directory = new Fd(
                CString.lend(folder.toString().getBytes(UTF_8), path -> Libc.openat(Libc.AT_FDCWD, path, flags, 0)));

        try (var layout = new LayoutDirectory(directory);
                var renames = new Renames()) {
            for (int i = 0; i < 20_000; i++) {
                assertThat(layout.size("link")).isEqualTo(5);
            }
            assertThat(renames.goOn()).isTrue();
        }
    }
}
