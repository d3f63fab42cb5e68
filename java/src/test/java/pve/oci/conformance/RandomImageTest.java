package pve.oci.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import pve.oci.linux.Libc;

class RandomImageTest {
    @Test
    void random_images_give_the_tree_of_the_model() throws IOException {
        assumeTrue(Libc.getuid() == 0, "owners and mounts need root");

        assertThat(new RandomImages().run(1, 200)).isEmpty();
    }
}
