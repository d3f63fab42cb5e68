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
        queues.contents().take().release();
        Slot applied = queues.takeToApply();
        Thread giver = new Thread(applied::release);
        giver.start();

        assertThat(queues.takeContent(LAYER)).isSameAs(second).isNotSameAs(first);
        giver.join();
    }

    @Test
    void pieces_of_blobs_are_hashed_beside_what_was_decompressed_from_them() throws InterruptedException {
        Slot blob = queues.takeBlob(LAYER);
        Slot content = queues.takeContent(LAYER);
        queues.publishBlob(blob);
        queues.publishContent(content);

        assertThat(queues.contents().poll()).isSameAs(content);
        assertThat(queues.contents().poll()).isNull();
        assertThat(queues.blobs().poll()).isSameAs(blob);
        assertThat(queues.blobs().poll()).isNull();
    }

    @Test
    void content_that_is_the_blob_itself_is_not_hashed_again() throws InterruptedException {
        Slot content = queues.takeContent(LAYER);
        content.isStored = true;
        queues.publishContent(content);

        assertThat(queues.contents().poll()).isNull();
        queues.takeToApply().release();
        assertThat(queues.takeContent(LAYER)).isSameAs(content);
    }

    @Test
    void who_would_wait_takes_steps_of_the_work_that_is_shared() throws InterruptedException {
        Slot content = queues.takeContent(LAYER);
        queues.shareHashing(() -> false, () -> {
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

        assertThatThrownBy(queues.blobs()::take).isInstanceOf(InterruptedException.class);
        assertThat(Thread.interrupted()).isFalse();
    }
}
