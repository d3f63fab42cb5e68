package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import pve.oci.linux.PeerCredentials;
import pve.oci.varlink.VarlinkException;

class JobTableTest {
    private static final PeerCredentials ROOT = new PeerCredentials(1, 0, 0);
    private static final PeerCredentials ALICE = new PeerCredentials(2, 1000, 1000);
    private static final PeerCredentials BOB = new PeerCredentials(3, 1001, 1001);
    private static final JobParameters NOTHING =
            new JobParameters(null, null, null, null, null, null, null, null, null, null, null);

    private final JobTable jobs = new JobTable();

    @Test
    void others_see_their_own_jobs_only_and_root_sees_all() throws Exception {
        Job mine = jobs.add("DetectArchive", NOTHING, ALICE);
        assertThat(jobs.visibleTo(ALICE)).containsExactly(mine);
        assertThat(jobs.visibleTo(BOB)).isEmpty();
        assertThat(jobs.visibleTo(ROOT)).containsExactly(mine);
        assertThat(jobs.find(mine.id(), BOB)).isNull();
        assertThat(jobs.find(mine.id(), ROOT)).isSameAs(mine);
    }

    @Test
    void version_tells_changes() throws Exception {
        long before = jobs.version();
        Job job = jobs.add("DetectArchive", NOTHING, ROOT);
        long added = jobs.version();
        job.setProgress(job.progress());
        long progressed = jobs.version();
        jobs.remove(job);
        assertThat(before).isLessThan(added);
        assertThat(added).isLessThan(progressed);
        assertThat(progressed).isLessThan(jobs.version());
    }

    @Test
    void first_reason_of_a_cancellation_stays() throws Exception {
        Job job = jobs.add("DetectArchive", NOTHING, ROOT);
        job.cancel(OciErrors.cancelled("1", "first"));
        job.cancel(OciErrors.shuttingDown());
        assertThatThrownBy(job::throwIfCancelled).hasMessageContaining("first");
    }

    @Test
    void shutting_down_ends_jobs_and_takes_no_more() throws Exception {
        Job job = jobs.add("DetectArchive", NOTHING, ROOT);
        CountDownLatch down = new CountDownLatch(1);
        Thread stopper = new Thread(() -> {
            try {
                jobs.shutDown(5_000);
                down.countDown();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        stopper.start();
        assertThat(down.await(100, TimeUnit.MILLISECONDS)).isFalse();
        assertThatThrownBy(job::throwIfCancelled).hasMessageContaining("ShuttingDown");
        jobs.remove(job);
        assertThat(down.await(2, TimeUnit.SECONDS)).isTrue();
        assertThatThrownBy(() -> jobs.add("DetectArchive", NOTHING, ROOT)).isInstanceOf(VarlinkException.class);
    }
}
