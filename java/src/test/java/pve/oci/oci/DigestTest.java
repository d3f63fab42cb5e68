package pve.oci.oci;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DigestTest {
    private static final String HEX = "0123456789abcdef".repeat(4);

    @Test
    void is_a_path_in_the_layout() throws ImageFormatException {
        Digest digest = Digest.parse("sha256:" + HEX, "/digest");

        assertThat(digest.blobPath()).isEqualTo("blobs/sha256/" + HEX);
        assertThat(digest).hasToString("sha256:" + HEX);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                ":",
                "sha256",
                "sha256:",
                "sha256:00",
                "sha256:../../../../../../../../../../../../../../../../../../../../etc/pass",
                "../../etc/passwd:00",
                "sha256 :00",
                "SHA256:00",
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                "sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
                "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n",
                "sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            })
    void refuses_what_is_no_digest_of_a_known_algorithm(String text) {
        assertThatThrownBy(() -> Digest.parse(text, "/digest"))
                .isInstanceOf(ImageFormatException.class)
                .hasMessageContaining("digest")
                .hasMessageEndingWith(" at /digest");
    }
}
