package pve.oci.update;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;

class JournalTest {
    private static final String GOOD = """
            {"version":1, "phase":"in", "kept":["data/mine"], "directories":[
              {"path":"", "before":ATTRIBUTES, "after":ATTRIBUTES},
              {"path":"data", "before":ATTRIBUTES}]}
            """.replace("ATTRIBUTES", """
                            {"mode":493, "uid":0, "gid":0, "seconds":-1, "nanos":7, "extended":{"user.a":"b"}}""");

    @TempDir
    private Path folder;

    private Journal read(String content) throws Exception {
        Files.writeString(folder.resolve("journal"), content);
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC;
        CString name = CString.of(folder.toString());
        try (Fd control = new Fd(Libc.openat(Libc.AT_FDCWD, name.address(), flags, 0))) {
            return Objects.requireNonNull(Journal.read(control));
        }
    }

    @Test
    void reads_a_journal() throws Exception {
        Journal journal = read(GOOD);
        assertThat(journal.phase()).isEqualTo(Phase.IN);
        assertThat(journal.kept().paths()).containsExactly("data/mine");
        assertThat(journal.directories()).containsOnlyKeys("", "data");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
                    "version":1 | "version":2
                    "version":1 | "version":"1"
                    "in" | "nowhere"
                    data/mine | /data/mine
                    data/mine | data/../../mine
                    data/mine | data/m\\u0000
                    data/mine | other/mine
                    ["data/mine"] | [5]
                    ["data/mine"] | [""]
                    "path":"data" | "path":"data/below"
                    "path":"" | "path":"data"
                    493 | -1
                    493 | 4096000
                    "uid":0 | "uid":4294967295
                    "uid":0 | "uid":-1
                    "gid":0 | "gid":1e3
                    "nanos":7 | "nanos":-5
                    "nanos":7 | "nanos":1000000000
                    "seconds":-1 | "seconds":99999999999999999999
                    "b" | 5
                    user.a |
                    user.a | user.\\u0000
                    """)
    void refuses_what_no_update_writes(String part, String otherwise) {
        String content = GOOD.replace(part, otherwise == null ? "" : otherwise);
        assertThat(content).isNotEqualTo(GOOD);
        assertThatThrownBy(() -> read(content)).hasMessageContaining("was changed by somebody else: look at");
    }

    @Test
    void refuses_extended_attributes_larger_than_the_kernel_takes_them() {
        assertThatThrownBy(() -> read(GOOD.replace("user.a", "x".repeat(256)))).hasMessageContaining("look at");
        assertThatThrownBy(() -> read(GOOD.replace("\"b\"", '"' + "x".repeat(65_537) + '"')))
                .hasMessageContaining("look at");
    }
}
