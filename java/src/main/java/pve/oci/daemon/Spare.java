package pve.oci.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Poll;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.service.WorkerConversation;
import pve.oci.varlink.Frame;

/** A worker before its job: started, warmed as long as nobody wants it, then waiting. Its own thread runs it. */
final class Spare implements Runnable {
    private static final int LOW_PRIORITY = 10;
    private static final Logger LOG = LoggerFactory.getLogger(Spare.class);

    private final WorkerStarter starter;
    private final @Nullable WarmUp warmUp;
    private final IdMaps maps;
    private final CompletableFuture<Worker> claimed = new CompletableFuture<>();
    private @Nullable Worker worker;
    private boolean waiting;
    private boolean wanted;
    private boolean dropped;
    private boolean failed;

    Spare(WorkerStarter starter, @Nullable WarmUp warmUp, IdMaps maps) {
        this.starter = starter;
        this.warmUp = warmUp;
        this.maps = maps;
    }

    @Override
    public void run() {
        try {
            Worker started = start();
            if (warmUp != null && !warm(started, warmUp)) {
                closeFailed();
                // a worker that is wanted already is wanted cold too
                if (isStillSpare()) {
                    throw new IOException("warm-up failed");
                }
                start();
            }
            finish();
        } catch (IOException | RuntimeException e) {
            fail(e instanceof IOException failure ? failure : new IOException(e));
        }
    }

    private Worker start() throws IOException {
        Worker started;
        try {
            started = starter.start(maps).get(WorkerConversation.START_MILLIS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException failure ? failure : new IOException(e.getCause());
        } catch (TimeoutException e) {
            throw new IOException("worker was not started in time", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("the daemon is being stopped", e);
        }
        synchronized (this) {
            worker = started;
            setNice(started, wanted ? 0 : LOW_PRIORITY);
        }
        Frame ready = started.channel().receive(WorkerConversation.START_MILLIS);
        if (ready == null) {
            throw new IOException(
                    started.channel().hasEnded()
                            ? "worker ended before it was ready: "
                                    + started.process().exit()
                            : "worker was not ready in time");
        }
        if (!new String(ready.json(), StandardCharsets.UTF_8).contains("\"ready\"")) {
            throw new IOException("worker's first message is not that it is ready");
        }
        if (started.process() instanceof LaunchedProcess process) {
            process.ready();
        }
        return started;
    }

    private boolean warm(Worker started, WarmUp exercise) {
        try {
            exercise.run(started, this::isStillSpare);
            return true;
        } catch (IOException e) {
            if (!isDropped()) {
                LOG.warn("worker cannot be warmed reason=\"{}\"", e.getMessage());
            }
            return false;
        }
    }

    private synchronized boolean isDropped() {
        return dropped;
    }

    private synchronized void closeFailed() {
        if (worker != null) {
            worker.close();
            worker = null;
        }
    }

    private synchronized boolean isStillSpare() {
        return !wanted && !dropped;
    }

    private synchronized void finish() {
        Worker ready = worker;
        if (ready == null) {
            return;
        }
        if (dropped) {
            ready.close();
            return;
        }
        setNice(ready, 0);
        if (wanted) {
            handOver(ready);
        } else {
            waiting = true;
        }
    }

    private void handOver(Worker ready) {
        worker = null;
        waiting = false;
        if (!claimed.complete(ready)) {
            ready.close();
        }
    }

    private synchronized void fail(IOException e) {
        failed = true;
        closeFailed();
        if (!dropped) {
            LOG.warn("worker cannot be prepared reason=\"{}\"", e.getMessage());
        }
        claimed.completeExceptionally(e);
    }

    /** The worker, now or when what it is doing at the moment is done. To be called once. */
    synchronized CompletableFuture<Worker> claim() {
        wanted = true;
        Worker ready = worker;
        if (ready != null && waiting) {
            handOver(ready);
        } else if (ready != null) {
            setNice(ready, 0);
        }
        return claimed;
    }

    /** Whether it can be claimed with a prospect of success: its worker lives, as far as one can see. */
    synchronized boolean isUsable() {
        if (failed || dropped) {
            return false;
        }
        try {
            // a worker has nothing to say before its job, so whatever can be read is its end
            return !waiting
                    || worker == null
                    || Poll.await(worker.channel().socket().number(), Poll.POLLIN, 0) == 0;
        } catch (ErrnoException e) {
            return false;
        }
    }

    synchronized void drop() {
        dropped = true;
        if (worker != null) {
            if (waiting) {
                worker.close();
                worker = null;
            } else {
                worker.process().kill();
            }
        }
    }

    private static void setNice(Worker worker, int nice) {
        if (worker.process() instanceof LaunchedProcess process) {
            process.setNice(nice);
        }
    }
}
