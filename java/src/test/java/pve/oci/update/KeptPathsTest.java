package pve.oci.update;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Fd;
import pve.oci.rootfs.TemporaryRoot;

class KeptPathsTest {
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
