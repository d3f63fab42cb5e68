package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.varlink.VarlinkException;

/** A table of ID maps: ranges as in uid_map, separated by commas, and what is wrong with them. */
class IdMapTest {
    @TempDir
    Path directory;

    private static List<IdMapRange> ranges(String text) {
        List<IdMapRange> ranges = new ArrayList<>();
        for (String range : text.split(",", -1)) {
            String[] numbers = range.trim().split(" ", -1);
            ranges.add(
                    new IdMapRange(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]), Long.parseLong(numbers[2])));
        }
        return ranges;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0 100000 65536                                   | 100000",
                "0 1 1                                            | 1",
                "0 100000 1000, 1000 1000 1, 1001 101001 64535     | 100000",
                "1000 1000 1, 0 100000 1000                       | 100000",
                "0 65536 4294901759                               | 65536",
            })
    void takes(String map, long mappedRoot) throws Exception {
        IdMap checked = IdMap.checked("uidMap", ranges(map), SubordinateIds.any());
        assertThat(checked.mappedRoot()).isEqualTo(mappedRoot);
        assertThat(checked.asArgument()).isEqualTo(map.trim().replace(", ", ","));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0 0 65536                          | maps the host's root",
                "0 100000 65536, 70000 0 1          | maps the host's root",
                "0 100000 0                         | count is not valid",
                "0 100000 -1                        | count is not valid",
                "0 100000 9223372036854775807       | count is not valid",
                "0 -1 2                             | out of range",
                "-1 100000 2                        | out of range",
                "0 4294967295 1                     | out of range",
                "0 4294967290 10                    | out of range",
                "4294967290 100000 10               | out of range",
                "0 9223372036854775807 1            | out of range",
                "1 100001 65535                     | root is not mapped",
                "0 100000 10, 9 200000 10           | overlap inside",
                "0 100000 10, 0 200000 10           | overlap inside",
                "0 100000 10, 20 100009 10          | overlap on the host",
                "20 100009 10, 0 100000 10          | overlap on the host",
            })
    void refuses(String map, String reason) {
        assertThatThrownBy(() -> IdMap.checked("uidMap", ranges(map), SubordinateIds.any()))
                .isInstanceOfSatisfying(VarlinkException.class, e -> {
                    assertThat(e.error()).isEqualTo("io.pve.oci.InvalidArgument");
                    assertThat(e.parameters()).containsEntry("parameter", "uidMap");
                    assertThat(String.valueOf(e.parameters().get("message"))).contains(reason);
                });
    }

    @Test
    void refuses_more_ranges_than_the_kernel_takes() {
        List<IdMapRange> many = new ArrayList<>();
        for (int i = 0; i < 341; i++) {
            many.add(new IdMapRange(i, 100_000 + i, 1));
        }
        assertThatThrownBy(() -> IdMap.checked("uidMap", many, SubordinateIds.any()))
                .isInstanceOf(VarlinkException.class);
    }

    @Test
    void no_ranges_are_no_user_namespace() throws Exception {
        assertThat(IdMap.checked("uidMap", List.of(), SubordinateIds.any())).isEqualTo(IdMap.NONE);
        assertThat(IdMap.NONE.mappedRoot()).isZero();
    }

    @ParameterizedTest
    @CsvSource({
        "0 100000 65536, true",
        "0 100001 65535, true",
        "0 100000 65537, false",
        "0 99999 10, false",
        "0 300000 10, true",
        "0 500000 10, false",
        "0 700000 10, true"
    })
    void stays_within_roots_subordinate_ids(String map, boolean allowed) throws Exception {
        Path file = Files.writeString(directory.resolve("subuid"), """
                alice:500000:65536
                root:100000:65536
                0:300000:10
                broken
                root:x:y
                root:700000:10
                """);
        SubordinateIds ids = SubordinateIds.ofFile(file);
        if (allowed) {
            assertThat(IdMap.checked("gidMap", ranges(map), ids)).isNotNull();
        } else {
            assertThatThrownBy(() -> IdMap.checked("gidMap", ranges(map), ids))
                    .hasMessageContaining("not within root's ranges");
        }
    }

    @Test
    void a_line_that_is_added_counts_from_the_next_call_on() throws Exception {
        Path file = Files.writeString(directory.resolve("subuid"), "root:100000:65536\n");
        SubordinateIds ids = SubordinateIds.ofFile(file);
        assertThatThrownBy(() -> IdMap.checked("uidMap", ranges("0 200000 65536"), ids))
                .hasMessageContaining("not within root's ranges");
        Files.writeString(file, "root:100000:65536\nroot:200000:65536\n");
        assertThat(IdMap.checked("uidMap", ranges("0 200000 65536"), ids)).isNotNull();
        Files.writeString(file, "root:100000:65536\n");
        assertThatThrownBy(() -> IdMap.checked("uidMap", ranges("0 200000 65536"), ids))
                .hasMessageContaining("not within root's ranges");
    }

    @Test
    void without_a_line_for_root_the_usual_range_is_allowed() {
        SubordinateIds.Allowed ids =
                SubordinateIds.ofFile(directory.resolve("absent")).read();
        assertThat(ids.contains(100_000, 65_536)).isTrue();
        assertThat(ids.contains(100_000, 65_537)).isFalse();
        assertThat(ids.contains(1, 1)).isFalse();
    }
}
