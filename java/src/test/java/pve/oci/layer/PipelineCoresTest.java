package pve.oci.layer;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class PipelineCoresTest {
    @Test
    void two_cores_without_instructions_for_hashes_have_more_threads_unless_the_image_is_small() {
        assertThat(LayerPipeline.cores(2, false, 100 << 20)).isEqualTo(3);
        assertThat(LayerPipeline.cores(2, false, 1 << 20)).isEqualTo(2);
        assertThat(LayerPipeline.cores(2, true, 100 << 20)).isEqualTo(2);
        assertThat(LayerPipeline.cores(1, false, 100 << 20)).isEqualTo(1);
        assertThat(LayerPipeline.cores(4, false, 1 << 20)).isEqualTo(4);
    }
}
