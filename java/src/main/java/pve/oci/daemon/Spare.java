package pve.oci.daemon;

import java.io.IOException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Poll;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.service.WorkerConversation;
import pve.oci.varlink.Frame;

/** A worker before its job: started, warmed up until somebody wants it, then waiting. A thread of its own runs it. */
final class Spare implements Runnable {
    /** The worker has one owner at any time: this object until the state is GONE, then the job or nobody. */
    private enum SpareState {
        /** Its process is being started, or is not ready yet. */
        STARTING,
        WARMING,
        /** Nobody wants it yet. */
        WAITING,
        /** Handed over, failed or dropped. */
        GONE
    }

    private static final int LOW_PRIORITY = 10;
    private static final long POLL_MILLIS = 50;

    private final WorkerStarter starter;
    private final @Nullable WarmUp warmUp;
    private final IdMaps maps;
    private final boolean isInBurst;
    private final BooleanSupplier mayBeWantedSoon;
    private final CompletableFuture<Worker> claimed = new CompletableFuture<>();
    private SpareState state = SpareState.STARTING;
    private boolean isWanted;

    /** From the start of its process until that is ready and warmed up. */
    private boolean hasLowPriority;

    private @Nullable CompletableFuture<Worker> start;
    private @Nullable Worker worker;

    /**
     * @param warmUp null: it is not warmed up
     * @param isInBurst one job follows the other, so that most probably there is no time to warm it up
     * @param mayBeWantedSoon whether a job may come at any moment
     */
    Spare(
            WorkerStarter starter,
            @Nullable WarmUp warmUp,
            IdMaps maps,
            boolean isInBurst,
            BooleanSupplier mayBeWantedSoon) {
        this.starter = starter;
        this.warmUp = warmUp;
        this.maps = maps;
        this.isInBurst = isInBurst;
        this.mayBeWantedSoon = mayBeWantedSoon;
    }

    @Override
    public void run() {
        try {
            Worker started = start();
            if (warmUp != null) {
                awaitCalm();
            }
            if (warmUp != null && enter(SpareState.WARMING) && !warm(started, warmUp)) {
                // if a job already waits for this worker, it gets it without warm-up
                start();
            }
            finish();
        } catch (IOException | RuntimeException | Error e) {
            // a job that waits for this worker must hear of an Error too
            fail(e);
        }
    }

    private Worker start() throws IOException {
        CompletableFuture<Worker> starting = begin();
        Worker started;
        try {
            started = starting.get(WorkerConversation.START_MILLIS, TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof IOException failure ? failure : new IOException(e.getCause());
        } catch (TimeoutException e) {
            starting.cancel(false);
            throw new IOException("worker was not started in time", e);
        } catch (CancellationException e) {
            throw new IOException("nobody waits for this worker", e);
        } catch (InterruptedException e) {
            starting.cancel(false);
            Thread.currentThread().interrupt();
            throw new IOException("the daemon is being stopped", e);
        }
        own(started);
        awaitReady(started);
        return started;
    }

    private synchronized CompletableFuture<Worker> begin() throws IOException {
        if (state == SpareState.GONE) {
            throw new IOException("nobody waits for this worker");
        }
        state = SpareState.STARTING;
        start = starter.start(maps, isInBurst);
        return start;
    }

    private synchronized void own(Worker started) throws IOException {
        start = null;
        if (state == SpareState.GONE) {
            started.close();
            throw new IOException("nobody waits for this worker");
        }
        worker = started;
        if (!isWanted) {
            started.process().setNice(LOW_PRIORITY);
            hasLowPriority = true;
        }
    }

    private static void awaitReady(Worker started) throws IOException {
        Frame ready = started.channel().receive(WorkerConversation.START_MILLIS);
        if (ready == null) {
            throw new IOException(
                    started.channel().hasEnded()
                            ? "worker ended before it was ready: "
                                    + started.process().exit()
                            : "worker was not ready in time");
        }
        WorkerConversation.requireReady(ready);
        started.process().ready();
    }

    /** Waits without warming up while a job may come at any moment; the worker can be taken meanwhile. */
    private synchronized void awaitCalm() throws IOException {
        while (state != SpareState.GONE && !isWanted && mayBeWantedSoon.getAsBoolean()) {
            state = SpareState.WAITING;
            try {
                wait(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("the daemon is being stopped", e);
            }
        }
    }

    /** Enters the state; returns false when the worker is wanted, or gone. */
    private synchronized boolean enter(SpareState next) {
        if (state == SpareState.GONE || isWanted) {
            return false;
        }
        state = next;
        return true;
    }

    /** False when the worker failed, and another one is wanted in its place. */
    private boolean warm(Worker started, WarmUp exercise) throws IOException {
        try {
            exercise.run(started, this::isStillSpare);
            return true;
        } catch (IOException e) {
            Worker failed;
            synchronized (this) {
                failed = worker;
                worker = null;
                if (state != SpareState.GONE) {
                    log().warn("worker cannot be warmed reason=\"{}\"", e.getMessage());
                }
            }
            if (failed != null) {
                failed.close();
            }
            if (isStillSpare()) {
                throw new IOException("warm-up failed", e);
            }
            return false;
        }
    }

    private synchronized boolean isStillSpare() {
        return !isWanted && state != SpareState.GONE;
    }

    private synchronized void finish() {
        Worker ready = worker;
        if (state == SpareState.GONE && claimed.isDone()) {
            return;
        }
        if (ready == null || state == SpareState.GONE) {
            fail(new IOException("nobody waits for this worker"));
            return;
        }
        if (hasLowPriority) {
            // once more if a job wants it already: threads may have been started meanwhile by others of low priority
            ready.process().setNice(0);
            hasLowPriority = false;
        }
        if (isWanted) {
            handOver(ready);
        } else {
            state = SpareState.WAITING;
        }
    }

    private void handOver(Worker ready) {
        worker = null;
        state = SpareState.GONE;
        if (!claimed.complete(ready)) {
            endAside(ready);
        }
    }

    /** Gives up: this spare has no worker, and will have none. */
    void fail(Throwable e) {
        Worker failed;
        synchronized (this) {
            failed = worker;
            worker = null;
            if (state != SpareState.GONE) {
                log().warn("worker cannot be prepared reason=\"{}\"", e.getMessage());
            }
            state = SpareState.GONE;
        }
        if (failed != null) {
            failed.close();
        }
        claimed.completeExceptionally(e instanceof IOException failure ? failure : new IOException(e));
    }

    /**
     * Returns the worker, as soon as it has finished what it is doing. To be called once. Cancelling the future ends
     * the worker.
     */
    CompletableFuture<Worker> claim() {
        synchronized (this) {
            isWanted = true;
            Worker ready = worker;
            if (ready != null) {
                if (hasLowPriority) {
                    ready.process().setNice(0);
                }
                if (state == SpareState.WAITING) {
                    handOver(ready);
                }
            }
        }
        CompletableFuture<Void> unused = claimed.handle((taken, failure) -> {
            if (claimed.isCancelled()) {
                drop();
            }
            return null;
        });
        return claimed;
    }

    /** Whether its worker can be had at once. */
    synchronized boolean isWaiting() {
        return state == SpareState.WAITING;
    }

    /** Whether it makes sense to claim it: as far as can be seen, its worker lives or is still being started. */
    synchronized boolean isUsable() {
        if (state != SpareState.WAITING || worker == null) {
            return state != SpareState.GONE;
        }
        try {
            // a worker sends nothing before its job, so if its socket can be read it has ended
            return Poll.await(worker.channel().socket().number(), Poll.POLLIN, 0) == 0;
        } catch (ErrnoException e) {
            return false;
        }
    }

    /** Ends it, at whatever stage it is. Does not wait for that. */
    synchronized void drop() {
        boolean isIdle = state == SpareState.WAITING;
        if (start != null) {
            start.cancel(false);
        }
        state = SpareState.GONE;
        Worker ending = worker;
        if (ending != null && isIdle) {
            worker = null;
            endAside(ending);
        } else if (ending != null) {
            // the thread that talks to it sees its end, and closes it
            ending.process().kill();
        }
    }

    /**
     * Ends a worker in a thread of its own: killing a process takes milliseconds, but longer when its disk does not
     * answer.
     */
    private static void endAside(Worker ending) {
        ending.process().kill();
        Thread thread = new Thread(ending::close, "worker-end");
        thread.setDaemon(true);
        try {
            thread.start();
        } catch (OutOfMemoryError e) {
            // there can be no more threads, so this one waits
            ending.close();
        }
    }

    /** Not a constant: the first worker is started before the log is set up. */
    private static Logger log() {
        return LoggerFactory.getLogger(Spare.class);
    }
}
