package pve.oci.layer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MappedIdsTest {
    private final MappedIds map =
            new MappedIds(List.of(new MappedIds.MappedRange(0, 1000), new MappedIds.MappedRange(65534, 1)));

    @ParameterizedTest
    @CsvSource({
        "0, true",
        "999, true",
        "1000, false",
        "65533, false",
        "65534, true",
        "65535, false",
        "-1, false",
        "4294967295, false",
        "4294967296, false",
        "9223372036854775807, false",
        "-9223372036854775808, false"
    })
    void has_the_ids_of_its_ranges(long id, boolean isIn) {
        assertThat(map.contains(id)).isEqualTo(isIn);
    }

    @ParameterizedTest
    @CsvSource({"0, true", "4294967294, true", "4294967295, false", "-1, false", "4294967296, false"})
    void has_every_id_but_the_one_that_chown_takes_for_none_when_privileged(long id, boolean isIn) {
        assertThat(new MappedIds(List.of()).contains(id)).isEqualTo(isIn);
    }

    @Test
    void shows_its_ranges() {
        assertThat(map).hasToString("0-999, 65534-65534");
        assertThat(new MappedIds(List.of())).hasToString("0-4294967294");
    }
}
