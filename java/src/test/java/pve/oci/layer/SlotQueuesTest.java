package pve.oci.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import pve.oci.archive.Layer;
import pve.oci.oci.Descriptor;
import pve.oci.oci.Digest;

@Timeout(30)
class SlotQueuesTest {
    private static final Digest DIGEST = new Digest("sha256", "0".repeat(64));
    private static final Layer LAYER = new Layer(0, 1, new Descriptor("t", DIGEST, 0, Map.of(), null), DIGEST, () -> {
        throw new IllegalStateException("nothing is read here");
    });

    private final SlotQueues queues = new SlotQueues(2, 1);

    @AfterEach
    void discard() {
        queues.discard();
    }

    @Test
    void content_goes_to_the_hasher_and_to_who_applies_it_and_is_free_after_both() throws InterruptedException {
        Slot first = queues.takeContent(LAYER);
        Slot second = queues.takeContent(LAYER);
        queues.publishContent(second);
        queues.takeToHash().release();
        Slot applied = queues.takeToApply();
        Thread giver = new Thread(applied::release);
        giver.start();

        assertThat(queues.takeContent(LAYER)).isSameAs(second).isNotSameAs(first);
        giver.join();
    }

    @Test
    void a_piece_of_a_blob_is_hashed_before_what_was_decompressed_from_it() throws InterruptedException {
        Slot blob = queues.takeBlob(LAYER);
        Slot content = queues.takeContent(LAYER);
        queues.publishBlob(blob);
        queues.publishContent(content);

        assertThat(queues.pollToHash()).isSameAs(blob);
        assertThat(queues.pollToHash()).isSameAs(content);
        assertThat(queues.pollToHash()).isNull();
    }

    @Test
    void who_would_wait_takes_steps_of_the_work_that_is_shared() throws InterruptedException {
        Slot content = queues.takeContent(LAYER);
        queues.shareHashing(() -> {
            if (queues.filledOn() >= 0) {
                return false;
            }
            queues.publishContent(content);
            return true;
        });

        assertThat(queues.takeToApply()).isSameAs(content);
    }

    @Test
    void nobody_waits_for_a_thread_that_has_ended() {
        queues.breakDown();

        assertThatThrownBy(queues::takeToApply).isInstanceOf(InterruptedException.class);
        assertThatThrownBy(queues::helpUntilInterrupted).isInstanceOf(InterruptedException.class);
    }

    @Test
    void an_interrupt_ends_waiting() {
        Thread.currentThread().interrupt();

        assertThatThrownBy(queues::takeToHash).isInstanceOf(InterruptedException.class);
        assertThat(Thread.interrupted()).isFalse();
    }
}
