package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import pve.oci.varlink.VarlinkException;

@Timeout(20)
class JobSlotsTest {
    private static final String ONE = "one archive";
    private static final String OTHER = "another";

    /** A job that waits for its turn in a thread of its own. */
    private static CompletableFuture<JobSlots.Turn> job(JobSlots slots, String archive) throws InterruptedException {
        int queued = slots.queued();
        int running = slots.running();
        CompletableFuture<JobSlots.Turn> job = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                job.complete(slots.enter(archive, () -> {}));
            } catch (VarlinkException e) {
                job.completeExceptionally(e);
            }
        });
        thread.start();
        while (!job.isDone() && slots.queued() == queued && slots.running() == running) {
            Thread.sleep(1);
        }
        return job;
    }

    private static JobSlots.Turn turnOf(CompletableFuture<JobSlots.Turn> job) throws Exception {
        return job.get(5, TimeUnit.SECONDS);
    }

    private static void assertWaits(CompletableFuture<JobSlots.Turn> job) throws InterruptedException {
        Thread.sleep(60);
        assertThat(job).isNotDone();
    }

    @Test
    void bound_the_running_and_the_waiting() throws Exception {
        JobSlots slots = new JobSlots(1, 1);
        JobSlots.Turn first = turnOf(job(slots, ONE));
        CompletableFuture<JobSlots.Turn> second = job(slots, ONE);
        assertThatThrownBy(() -> turnOf(job(slots, ONE)))
                .isInstanceOf(ExecutionException.class)
                .hasMessageContaining("TooManyJobs");
        assertWaits(second);
        assertThat(slots.queued()).isEqualTo(1);
        first.end();
        turnOf(second);
        assertThat(slots.running()).isEqualTo(1);
        assertThat(slots.queued()).isZero();
    }

    @Test
    void of_one_archive_leave_a_quarter_to_others() throws Exception {
        JobSlots slots = new JobSlots(4, 10);
        for (int i = 0; i < 3; i++) {
            turnOf(job(slots, ONE));
        }
        CompletableFuture<JobSlots.Turn> fourth = job(slots, ONE);
        assertWaits(fourth);
        turnOf(job(slots, OTHER)).end();
        assertWaits(fourth);
        assertThat(slots.running()).isEqualTo(3);
    }

    @Test
    void go_to_the_archive_with_the_fewest_jobs_and_then_in_the_order_of_arrival() throws Exception {
        JobSlots slots = new JobSlots(2, 10);
        JobSlots.Turn first = turnOf(job(slots, ONE));
        turnOf(job(slots, ONE));
        CompletableFuture<JobSlots.Turn> third = job(slots, ONE);
        CompletableFuture<JobSlots.Turn> other = job(slots, OTHER);
        CompletableFuture<JobSlots.Turn> otherAgain = job(slots, OTHER);
        first.end();
        JobSlots.Turn taken = turnOf(other);
        assertWaits(third);
        taken.end();
        taken = turnOf(otherAgain);
        assertWaits(third);
        taken.end();
        turnOf(third);
    }
}
