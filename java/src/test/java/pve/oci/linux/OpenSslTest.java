package pve.oci.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class OpenSslTest {
    @Test
    void finds_the_instructions_that_the_kernel_lists() throws IOException {
        boolean isListed = Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                .anyMatch(line -> line.matches("(flags|Features)\\s*:.*\\bsha(_ni|2)\\b.*"));

        assertThat(OpenSsl.hasSha256Instructions()).isEqualTo(isListed);
    }

    @Test
    void reads_what_openssl_says_of_processors_with_and_without_them() {
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_ia32cap=0xfffa32034f8bffff:0x81cd19e67eb"))
                .isFalse();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_ia32cap=0x7ed8320b078bffff:0x40069c219c97a9:0x0:0x0"))
                .isTrue();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_armcap=0xf")).isFalse();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_armcap=0xbd")).isTrue();
    }

    @Test
    void takes_them_for_granted_where_openssl_says_nothing_of_use() {
        assertThat(OpenSsl.hasSha256Instructions("")).isTrue();
        assertThat(OpenSsl.hasSha256Instructions("N/A")).isTrue();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_ia32cap=0x1")).isTrue();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_armcap=0x")).isTrue();
        assertThat(OpenSsl.hasSha256Instructions("OPENSSL_ia32cap=0x1:0x11112222333344445"))
                .isTrue();
    }
}
