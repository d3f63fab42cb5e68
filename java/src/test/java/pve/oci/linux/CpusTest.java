package pve.oci.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class CpusTest {
    private static byte[] allowed() throws ErrnoException {
        NativeBuffer mask = NativeBuffer.allocate(128);
        Cpus.getAffinity(mask.size(), mask.address());
        byte[] bytes = new byte[mask.size()];
        mask.buffer().get(0, bytes);
        return bytes;
    }

    private static int count(byte[] mask) {
        int count = 0;
        for (byte bits : mask) {
            count += Integer.bitCount(bits & 0xff);
        }
        return count;
    }

    @Test
    void leaves_a_cpu_and_may_return() throws ErrnoException {
        byte[] before = allowed();
        assumeTrue(count(before) > 1, "needs two CPUs");
        boolean hasLeft = false;
        // the scheduler may take the thread back at once, but not every time
        for (int i = 0; i < 20 && !hasLeft; i++) {
            int here = Cpus.current();
            Cpus.leave(here);
            hasLeft = Cpus.current() != here;
        }
        assertThat(hasLeft).isTrue();
        assertThat(allowed()).isEqualTo(before);
    }

    @Test
    void stays_on_the_only_cpu_that_it_may_use() throws Exception {
        int[] after = new int[1];
        byte[][] masks = new byte[2][];
        Thread thread = new Thread(() -> {
            try {
                int here = Cpus.current();
                NativeBuffer only = NativeBuffer.allocate(128);
                only.buffer().put(here / 8, (byte) (1 << here % 8));
                Cpus.setAffinity(only.size(), only.address());
                masks[0] = allowed();
                Cpus.leave(here);
                masks[1] = allowed();
                after[0] = Cpus.current() - here;
            } catch (ErrnoException e) {
                throw new IllegalStateException(e);
            }
        });
        thread.start();
        thread.join();
        assertThat(after[0]).isZero();
        assertThat(Arrays.equals(masks[0], masks[1])).isTrue();
        assertThat(count(masks[1])).isEqualTo(1);
    }
}
