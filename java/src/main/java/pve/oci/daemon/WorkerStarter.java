package pve.oci.daemon;

import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Poll;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.varlink.FrameChannel;

/**
 * Starts workers. Workers start one after the other, which is quickest with few processors. A launcher that hangs does
 * not block the others: its turn is short, and as long as none has connected, further launchers are started beside it.
 * The first one that connects becomes the worker, and the others are ended.
 */
final class WorkerStarter implements AutoCloseable {
    private static final long CONNECT_MILLIS = 10_000;

    /**
     * How long others wait for a launcher to connect. Connecting is the first thing that it does, and takes a few
     * milliseconds.
     */
    private static final long TURN_MILLIS = 300;

    /** If it has not connected after this time, another launcher is started: what delayed the first may be over. */
    private static final long NEXT_LAUNCHER_MILLIS = 700;

    private static final int MAXIMUM_LAUNCHERS = 4;
    private static final long POLL_MILLIS = 50;
    private static final long CLOSE_MILLIS = 2_000;
    private static final Logger LOG = LoggerFactory.getLogger(WorkerStarter.class);

    /** A worker that is wanted. Several launchers may be started for it. */
    private static final class Start {
        final IdMaps maps;
        final CompletableFuture<Worker> worker = new CompletableFuture<>();
        private final long begunNanos = System.nanoTime();
        private int started = 1;
        private int failed;

        Start(IdMaps maps) {
            this.maps = maps;
        }

        /** Whether one more launcher is to be started now: then it counts as started. */
        synchronized boolean takesAnother() {
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begunNanos);
            if (started == MAXIMUM_LAUNCHERS || millis < started * NEXT_LAUNCHER_MILLIS) {
                return false;
            }
            started++;
            return true;
        }

        /** One launcher has failed. Another one may still connect. */
        synchronized void launcherFailed(Throwable e) {
            failed++;
            if (failed == started) {
                worker.completeExceptionally(e);
            }
        }
    }

    private final WorkerLauncher launcher;
    private final SocketFile listener;
    private final ExecutorService threads = Executors.newCachedThreadPool(task -> new Thread(task, "worker-starter"));
    private final Semaphore turn = new Semaphore(1, true);

    /** The launchers that have not connected yet, by their pids. Its lock is also held while one is started. */
    private final Map<Long, CompletableFuture<ChannelSocket>> expected = new HashMap<>();

    private volatile boolean closing;

    /** @param listener where workers connect; taken over */
    WorkerStarter(WorkerLauncher launcher, SocketFile listener) {
        this.launcher = launcher;
        this.listener = listener;
    }

    /**
     * Starts a worker. The future has it when it has connected, and is not ready yet. Cancelling the future ends the
     * worker at whatever stage it is, so that no process is left.
     */
    CompletableFuture<Worker> start(IdMaps maps) {
        Start start = new Start(maps);
        execute(start);
        return start.worker;
    }

    private void execute(Start start) {
        try {
            threads.execute(() -> launchFor(start));
        } catch (RejectedExecutionException e) {
            start.launcherFailed(new IOException("the daemon is being stopped"));
        } catch (OutOfMemoryError e) {
            // there can be no more threads
            start.launcherFailed(e);
        }
    }

    private void launchFor(Start start) {
        boolean hasTurn = false;
        try {
            hasTurn = turn.tryAcquire(TURN_MILLIS, TimeUnit.MILLISECONDS);
            Worker worker = launch(start);
            if (!start.worker.complete(worker)) {
                worker.close();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            start.launcherFailed(e);
        } catch (IOException | RuntimeException | Error e) {
            start.launcherFailed(e);
        } finally {
            if (hasTurn) {
                turn.release();
            }
        }
    }

    private Worker launch(Start start) throws IOException {
        requireWanted(start);
        ProcessBuilder builder = new ProcessBuilder(launcher.command(listener.path(), start.maps))
                .redirectInput(new File("/dev/null"))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD);
        CompletableFuture<ChannelSocket> connecting = new CompletableFuture<>();
        Process process;
        synchronized (expected) {
            process = builder.start();
            expected.put(process.pid(), connecting);
        }
        LaunchedProcess launched = new LaunchedProcess(process);
        try {
            WorkerLog log = new WorkerLog(process.getErrorStream(), process.pid());
            Thread reader = new Thread(log, "worker-log-" + process.pid());
            reader.setDaemon(true);
            reader.start();
            ChannelSocket connection = await(connecting, launched, log, start);
            return new Worker(
                    FrameChannel.withoutDescriptors(connection, Worker.MAXIMUM_FRAME_SIZE), launched, start.maps);
        } catch (IOException | RuntimeException | Error e) {
            launched.kill();
            process.destroyForcibly();
            launched.awaitGone(CLOSE_MILLIS);
            forget(connecting);
            throw e;
        } finally {
            synchronized (expected) {
                expected.remove(process.pid());
            }
        }
    }

    private ChannelSocket await(
            CompletableFuture<ChannelSocket> connecting, LaunchedProcess launched, WorkerLog log, Start start)
            throws IOException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CONNECT_MILLIS);
        while (System.nanoTime() < deadline) {
            requireWanted(start);
            acceptAll();
            ChannelSocket connection = connecting.getNow(null);
            if (connection != null) {
                return connection;
            }
            if (!launched.isAlive()) {
                throw new IOException("launcher " + launched.exit().describe() + ": " + log.lastLine());
            }
            if (start.takesAnother()) {
                execute(start);
            }
            Poll.await(listener.number(), Poll.POLLIN, POLL_MILLIS);
        }
        throw new IOException("launcher did not connect within " + CONNECT_MILLIS / 1000 + " s");
    }

    /** Accepts all connections. Each of the threads that wait may accept the connection that another one waits for. */
    private void acceptAll() throws IOException {
        synchronized (expected) {
            for (ChannelSocket next = listener.accept(); next != null; next = listener.accept()) {
                CompletableFuture<ChannelSocket> waiting = expected.get(pidOf(next));
                if (waiting == null || !waiting.complete(next)) {
                    // it came too late for its own start, or from another process
                    next.close();
                }
            }
        }
    }

    /** The pid of the process that has connected; 0 if it cannot be found out. */
    private static long pidOf(ChannelSocket connection) {
        try {
            return connection.peer().pid();
        } catch (IOException e) {
            return 0;
        }
    }

    /** Closes the connection, if the launcher has connected meanwhile. */
    private static void forget(CompletableFuture<ChannelSocket> connecting) {
        connecting.cancel(false);
        if (!connecting.isCancelled()) {
            CompletableFuture<Void> unused = connecting.thenAccept(ChannelSocket::close);
        }
    }

    private void requireWanted(Start start) throws IOException {
        if (closing) {
            throw new IOException("the daemon is being stopped");
        }
        if (start.worker.isDone()) {
            throw new IOException("nobody waits for this worker");
        }
    }

    @Override
    public void close() {
        closing = true;
        threads.shutdown();
        try {
            if (!threads.awaitTermination(CLOSE_MILLIS, TimeUnit.MILLISECONDS)) {
                LOG.error("a worker is still being started");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        listener.close();
    }
}
