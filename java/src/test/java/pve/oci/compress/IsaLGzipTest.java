package pve.oci.compress;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import pve.oci.linux.IsaL;

/** gzip by libisal, where it is installed. */
class IsaLGzipTest extends GzipContract {
    @BeforeAll
    static void needs_libisal() {
        Assumptions.assumeTrue(IsaL.isAvailable(), "libisal.so.2 is not installed");
    }

    @Override
    Decompressor decompressor() {
        return new GzipDecompressor(new IsaLMember());
    }
}
