package pve.oci.archive;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.OpenSsl;

class ContentHashTest {
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void is_the_same_by_every_implementation(boolean usesOpenSsl) {
        assumeTrue(!usesOpenSsl || OpenSsl.isAvailable(), "libcrypto is not installed");

        // FIPS 180-4, "abc"
        assertThat(hash("sha256", usesOpenSsl, "abc"))
                .isEqualTo("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assertThat(hash("sha512", usesOpenSsl, "a", "", "bc"))
                .isEqualTo("sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
        assertThat(hash("sha256", usesOpenSsl))
                .isEqualTo("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    private static String hash(String algorithm, boolean usesOpenSsl, String... pieces) {
        NativeBuffer memory = NativeBuffer.allocate(16);
        try (ContentHash hash = new ContentHash(algorithm, usesOpenSsl)) {
            for (String piece : pieces) {
                memory.buffer().put(0, piece.getBytes(US_ASCII));
                // whatever the buffer's own position and limit
                memory.buffer().position(3).limit(5);
                hash.update(memory, piece.length());
                memory.buffer().clear();
            }
            return hash.finish().toString();
        }
    }
}
