package pve.oci.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import pve.oci.layer.LayerLimits;

class JobRequestTest {
    @Test
    void has_defaults_for_what_is_not_said() {
        JobRequest request = JobRequest.of(Map.of("action", "extract"));

        assertThat(request.action()).isEqualTo(JobRequest.Action.EXTRACT);
        assertThat(request.isPrivileged()).isTrue();
        assertThat(request.limits()).isEqualTo(LayerLimits.DEFAULT);
        assertThat(request.selector().referenceName()).isNull();
        assertThat(request.selector().architecture()).isNotEmpty();
    }

    @Test
    void reads_maps_selector_and_limits() {
        JobRequest request = JobRequest.of(Map.of(
                "action",
                "verify",
                "archiveName",
                "/x",
                "uidMap",
                List.of(Map.of("inside", 0, "outside", 100000, "count", 10)),
                "gidMap",
                List.of(Map.of("inside", 5L, "outside", 100000L, "count", 1L)),
                "selector",
                Map.of("architecture", "aarch64", "variant", "", "referenceName", "r"),
                "options",
                Map.of("maximumSize", 7, "maximumEntries", 8L, "maximumPaxSize", 9)));

        assertThat(request.uids()).hasToString("0-9");
        assertThat(request.gids()).hasToString("5-5");
        assertThat(request.selector()).hasToString("linux/arm64 named 'r'");
        assertThat(request.limits().maximumSize()).isEqualTo(7);
        assertThat(request.limits().maximumEntries()).isEqualTo(8);
        assertThat(request.limits().tar().paxSize()).isEqualTo(9);
    }

    @Test
    void refuses_an_unknown_action() {
        assertThatThrownBy(() -> JobRequest.of(Map.of("action", "format")))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
