package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ConnectionsTest {
    @Test
    void largest_frames_of_all_connections_take_a_quarter_of_the_heap() {
        assertThat(Connections.maximumFor(64 << 20)).isEqualTo(256);
        assertThat(Connections.maximumFor(32 << 20)).isEqualTo(128);
        assertThat(Connections.maximumFor(1 << 20)).isEqualTo(8);
    }
}
