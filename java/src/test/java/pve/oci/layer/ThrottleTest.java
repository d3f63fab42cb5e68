package pve.oci.layer;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ThrottleTest {
    @Test
    void takes_as_long_as_the_bandwidth_asks_for() throws InterruptedException {
        Throttle throttle = new Throttle(100_000);
        long start = System.nanoTime();
        for (int i = 0; i < 10; i++) {
            throttle.spend(2_000);
        }

        assertThat(System.nanoTime() - start).isGreaterThan(190_000_000);
    }

    @Test
    void does_not_wait_without_a_bandwidth() throws InterruptedException {
        Throttle throttle = new Throttle(0);
        long start = System.nanoTime();
        throttle.spend(Long.MAX_VALUE);

        assertThat(System.nanoTime() - start).isLessThan(1_000_000_000);
    }

    @Test
    void can_be_interrupted() throws InterruptedException {
        Throttle throttle = new Throttle(1);
        Thread thread = new Thread(() -> {
            try {
                throttle.spend(1_000_000);
            } catch (InterruptedException e) {
                // as wanted
            }
        });
        thread.start();
        thread.interrupt();
        thread.join(5_000);

        assertThat(thread.isAlive()).isFalse();
    }
}
