package pve.oci.layer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.rootfs.EntryPath;
import pve.oci.tar.EntryType;

class WhiteoutTest {
    @ParameterizedTest
    @CsvSource({
        "a, REGULAR, NONE",
        "wh.a, REGULAR, NONE",
        ".wha, REGULAR, NONE",
        "a.wh.b, REGULAR, NONE",
        ".wh.a, REGULAR, ENTRY",
        "d/.wh.a, REGULAR, ENTRY",
        ".wh.a, HARD_LINK, ENTRY",
        ".wh.a, SYMLINK, ENTRY",
        ".wh.a, CHARACTER_DEVICE, ENTRY",
        ".wh.a, FIFO, ENTRY",
        ".wh.a, DIRECTORY, NONE",
        ".wh.a/b, REGULAR, NONE",
        ".wh..a, REGULAR, ENTRY",
        ".wh....., REGULAR, ENTRY",
        ".wh., REGULAR, INVALID",
        ".wh.., REGULAR, INVALID",
        ".wh..., REGULAR, INVALID",
        "d/.wh..., SYMLINK, INVALID",
        ".wh., DIRECTORY, NONE",
        ".wh..wh..opq, REGULAR, OPAQUE",
        "d/.wh..wh..opq, HARD_LINK, OPAQUE",
        ".wh..wh..opq, DIRECTORY, METADATA",
        ".wh..wh..opq/x, REGULAR, METADATA",
        ".wh..wh..opqx, REGULAR, METADATA",
        ".wh..wh.plnk, DIRECTORY, METADATA",
        ".wh..wh.plnk/1.2, REGULAR, METADATA",
        "d/.wh..wh.aufs, REGULAR, METADATA",
        ".wh..wh, REGULAR, ENTRY",
    })
    void is_told_by_the_name_and_being_no_directory(String name, EntryType type, Whiteout expected) {
        EntryPath path = new EntryPath();
        path.set(name.getBytes(UTF_8), name.length());

        assertThat(Whiteout.of(path, type)).isEqualTo(expected);
    }
}
