package pve.oci.update;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.TemporaryRoot;

class KeptPathsTest {
    @Test
    void names_a_path_as_it_is_in_the_container() throws IOException {
        try (TemporaryRoot root = new TemporaryRoot();
                Fd fd = TemporaryRoot.open(root.path())) {
            root.shell("ln -s circle circle");
            for (String path : List.of("/circle/x", "circle/x")) {
                assertThatThrownBy(() -> new KeptPaths().resolve(fd, List.of(path)))
                        .isInstanceOf(UpdateException.class)
                        .hasMessage("'/circle/x' cannot be kept: its links lead in a circle");
            }
        }
    }

    @Test
    void keeps_nothing_in_its_own_folders() throws IOException {
        List<String> paths = List.of("/.pve.oci.update/new/bin", ".pve.oci.update", "/.pve.oci.json", "/own/bin");
        try (TemporaryRoot root = new TemporaryRoot();
                Fd fd = TemporaryRoot.open(root.path())) {
            root.shell("ln -s .pve.oci.update/new own");
            for (String made : List.of("true", "mkdir -p .pve.oci.update/new/bin")) {
                root.shell(made);
                for (String path : paths) {
                    assertThatThrownBy(() -> new KeptPaths().resolve(fd, List.of(path)))
                            .as(path)
                            .isInstanceOf(UpdateException.class)
                            .hasMessageContaining("belong to pve-oci");
                }
            }
        }
    }
}
