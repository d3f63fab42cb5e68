package pve.oci.layer;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ProgressTest {
    private final Progress progress = new Progress();

    @Test
    void shows_layers_when_they_are_known() {
        assertThat(progress.toJson()).doesNotContainKeys("layerIndex", "layersCount");
        progress.begin(Progress.JobPhase.EXTRACTING, 3, 100);
        progress.layer(1);

        assertThat(progress.toJson())
                .containsEntry("phase", "extracting")
                .containsEntry("layerIndex", 1)
                .containsEntry("layersCount", 3)
                .containsEntry("bytesTotal", 100L);
    }

    @Test
    void only_grows_when_everything_is_done_anew() {
        progress.begin(Progress.JobPhase.EXTRACTING, 3, 100);
        progress.read(50);
        progress.wroteBytes(10);
        progress.wroteEntry();
        progress.wroteEntry();
        progress.restart(200);
        progress.wroteEntry();

        assertThat(progress.entriesWritten()).isEqualTo(1);
        assertThat(progress.bytesWritten()).isZero();
        assertThat(progress.toJson())
                .containsEntry("entriesWritten", 2L)
                .containsEntry("bytesWritten", 10L)
                .containsEntry("bytesRead", 50L)
                .containsEntry("bytesTotal", 250L);
    }
}
