package pve.oci.rootfs;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class LongSetTest {
    private final LongSet set = new LongSet();

    @Test
    void holds_what_was_added_and_nothing_else() {
        Random random = new Random(1);
        Set<Long> expected = new HashSet<>();
        for (int i = 0; i < 100_000; i++) {
            long value = random.nextInt(4) == 0 ? random.nextInt(1000) : random.nextLong();
            expected.add(value);
            set.add(value);
        }

        assertThat(expected).allMatch(set::contains);
        for (int i = 0; i < 100_000; i++) {
            long value = random.nextLong();
            assertThat(set.contains(value)).isEqualTo(expected.contains(value));
        }
    }

    @Test
    void holds_zero_which_marks_a_free_place() {
        assertThat(set.contains(0)).isFalse();
        set.add(0);
        assertThat(set.contains(0)).isTrue();
        assertThat(set.isEmpty()).isFalse();
    }

    @Test
    void is_empty_after_it_was_cleared_small_or_grown() {
        for (int size : new int[] {1, 10, 100_000}) {
            for (long i = 0; i < size; i++) {
                set.add(i);
            }
            set.clear();
            assertThat(set.isEmpty()).isTrue();
            assertThat(set.contains(0)).isFalse();
            assertThat(set.contains(1)).isFalse();
            assertThat(set.contains(size - 1)).isFalse();
        }
    }

    @Test
    void goes_on_when_values_collide() {
        // equal in the bits that choose the place
        for (long i = 1; i <= 1000; i++) {
            set.add(i << 52);
        }
        for (long i = 1; i <= 1000; i++) {
            assertThat(set.contains(i << 52)).isTrue();
        }
        assertThat(set.contains(1001L << 52)).isFalse();
    }
}
