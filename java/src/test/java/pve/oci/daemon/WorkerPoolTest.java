package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import pve.oci.linux.Libc;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;

/** Jobs must not wait when there can be no more threads, or when workers take long to end. */
@Timeout(60)
class WorkerPoolTest {
    /** A launcher that connects and is ready, and that stays when its child is killed: its end takes seconds. */
    private static final String STUBBORN = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]);"
            + " if (!fork()) { sleep(100); exit }"
            + " syswrite($s, qq({\"parameters\":{\"ready\":true},\"continues\":true}\\0)); sleep(1) while 1";

    /** The first of all that are started takes a nap before it connects. */
    private static final String FIRST_IS_SLOW = "mkdir($ARGV[1]) and sleep(8); " + STUBBORN;

    @TempDir
    Path directory;

    private WorkerStarter starter() throws Exception {
        return starter(STUBBORN);
    }

    private WorkerStarter starter(String launcher) throws Exception {
        String first = directory.resolve("first").toString();
        WorkerStarter starter = new WorkerStarter(
                (path, maps) -> List.of("perl", "-e", launcher, path, first),
                directory.resolve("worker").toString());
        starter.listen();
        return starter;
    }

    @Test
    void a_job_hears_that_there_can_be_no_thread_for_its_worker() throws Exception {
        try (WorkerPool pool = new WorkerPool(starter(), null, new WorkerPool.Limits(1, 600_000), spare -> {
            throw new OutOfMemoryError("unable to create native thread");
        })) {
            pool.prepare(IdMaps.DEFAULT);
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> pool.take(IdMaps.DEFAULT).get(5, TimeUnit.SECONDS))
                        .isInstanceOf(ExecutionException.class)
                        .hasMessageContaining("unable to create native thread");
            }
        }
    }

    @Test
    void is_not_locked_while_workers_end() throws Exception {
        try (WorkerPool pool = new WorkerPool(starter(), null, new WorkerPool.Limits(1, 600_000))) {
            pool.prepare(IdMaps.DEFAULT);
            long children = awaitReady();
            long started = System.nanoTime();
            pool.dropAll();
            assertThat(pool.spareCount()).isZero();
            assertThat(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - started))
                    .isLessThan(1_000);
            assertThat(children).isEqualTo(1);
            while (ProcessHandle.current().descendants().anyMatch(ProcessHandle::isAlive)) {
                Thread.sleep(20);
            }
        }
    }

    @Test
    void a_launcher_that_does_not_connect_holds_nobody_up() throws Exception {
        try (WorkerPool pool = new WorkerPool(starter(FIRST_IS_SLOW), null, new WorkerPool.Limits(0, 600_000))) {
            List<CompletableFuture<Worker>> jobs = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                jobs.add(pool.take(IdMaps.DEFAULT));
            }
            for (CompletableFuture<Worker> job : jobs) {
                job.get(4, TimeUnit.SECONDS).close();
            }
        }
        assertThat(ProcessHandle.current().descendants()).noneMatch(ProcessHandle::isAlive);
    }

    @Test
    void a_job_gets_a_worker_of_usual_priority() throws Exception {
        assumeTrue(Libc.getuid() == 0, "others than root cannot give a priority back");
        try (WorkerPool pool = new WorkerPool(starter(), null, new WorkerPool.Limits(1, 600_000))) {
            pool.prepare(IdMaps.DEFAULT);
            awaitReady();
            // the first has waited, the second is started for the job
            for (int i = 0; i < 2; i++) {
                try (Worker worker = pool.take(IdMaps.DEFAULT).get(5, TimeUnit.SECONDS)) {
                    assertThat(nice(worker.process().pid())).isZero();
                }
            }
        }
    }

    /** The 19th value in proc_pid_stat(5); the second is the only one with parentheses. */
    private static int nice(long pid) throws IOException {
        String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
        return Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[16]);
    }

    /** Waits until the launcher has its child, and has had time to say that it is ready. */
    private static long awaitReady() throws InterruptedException {
        while (ProcessHandle.current().descendants().count() < 2) {
            Thread.sleep(10);
        }
        Thread.sleep(500);
        return ProcessHandle.current().children().count();
    }
}
