package pve.oci.daemon;

import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
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
 *
 * <p>Launchers can be started before {@link #listen}: they wait for the socket. So a new daemon starts its first worker
 * before it loads anything else.
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

    /** A worker that is wanted. Several launchers may be started for it. */
    private static final class Start {
        final IdMaps maps;
        final boolean isInBurst;
        final CompletableFuture<Worker> worker = new CompletableFuture<>();
        private long begunNanos = System.nanoTime();
        private int started = 1;
        private int failed;

        Start(IdMaps maps, boolean isInBurst) {
            this.maps = maps;
            this.isInBurst = isInBurst;
        }

        /** Launchers can connect from now on. */
        synchronized void begin() {
            begunNanos = System.nanoTime();
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
    private final String socketPath;
    private final CompletableFuture<SocketFile> listening = new CompletableFuture<>();
    private final ExecutorService threads = Executors.newCachedThreadPool(task -> new Thread(task, "worker-starter"));
    private final Semaphore turn = new Semaphore(1, true);

    /** The launchers that have not connected yet, by their pids. Its lock is also held while one is started. */
    private final Map<Long, CompletableFuture<ChannelSocket>> expected = new HashMap<>();

    private volatile boolean closing;

    /** @param socketPath where workers connect */
    WorkerStarter(WorkerLauncher launcher, String socketPath) {
        this.launcher = launcher;
        this.socketPath = socketPath;
    }

    /** Begins to accept workers. To be called once. */
    void listen() throws IOException {
        listening.complete(SocketFile.listen(socketPath));
    }

    /**
     * Starts a worker. The future has it when it has connected, and is not ready yet. Cancelling the future ends the
     * worker at whatever stage it is, so that no process is left.
     *
     * @param isInBurst its job comes at once, before it could be warmed up
     */
    CompletableFuture<Worker> start(IdMaps maps, boolean isInBurst) {
        Start start = new Start(maps, isInBurst);
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
        List<String> command = start.isInBurst
                ? launcher.commandInBurst(socketPath, start.maps)
                : launcher.command(socketPath, start.maps);
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(new File("/dev/null"))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD);
        CompletableFuture<ChannelSocket> connecting = new CompletableFuture<>();
        Process process;
        try {
            synchronized (expected) {
                process = builder.start();
                expected.put(process.pid(), connecting);
            }
        } catch (IOException e) {
            listener(start); // before this is logged
            throw e;
        }
        LaunchedProcess launched = new LaunchedProcess(process);
        try {
            SocketFile listener = listener(start);
            WorkerLog log = startLog(process);
            ChannelSocket connection = await(connecting, listener, launched, log, start);
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

    private static WorkerLog startLog(Process process) {
        WorkerLog log = new WorkerLog(process.getErrorStream(), process.pid());
        Thread reader = new Thread(log, "worker-log-" + process.pid());
        reader.setDaemon(true);
        reader.start();
        return log;
    }

    /**
     * Waits until the daemon listens. Before that, this thread must not log: the log uses junixsocket, and two threads
     * that load it at once could wait for each other's classes.
     */
    private SocketFile listener(Start start) {
        if (!listening.isDone()) {
            listening.join();
            start.begin();
        }
        return listening.join();
    }

    private ChannelSocket await(
            CompletableFuture<ChannelSocket> connecting,
            SocketFile listener,
            LaunchedProcess launched,
            WorkerLog log,
            Start start)
            throws IOException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(CONNECT_MILLIS);
        while (System.nanoTime() < deadline) {
            requireWanted(start);
            acceptAll(listener);
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
    private void acceptAll(SocketFile listener) throws IOException {
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
        listening.cancel(false);
        threads.shutdown();
        try {
            if (!threads.awaitTermination(CLOSE_MILLIS, TimeUnit.MILLISECONDS)) {
                LoggerFactory.getLogger(WorkerStarter.class).error("a worker is still being started");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (!listening.isCancelled()) {
            listening.join().close();
        }
    }
}
