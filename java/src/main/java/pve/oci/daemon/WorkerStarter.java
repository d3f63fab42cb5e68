package pve.oci.daemon;

import java.io.File;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Poll;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.varlink.FrameChannel;

/**
 * Starts workers, one after the other, from one thread that lives as long as the daemon: the parent-death signal of
 * prctl(2) is sent when the <em>thread</em> ends that made the process.
 */
final class WorkerStarter implements AutoCloseable {
    private static final long CONNECT_MILLIS = 10_000;
    private static final long LOOK_MILLIS = 50;
    private static final long CLOSE_MILLIS = 2_000;
    private static final Logger LOG = LoggerFactory.getLogger(WorkerStarter.class);

    private final WorkerLauncher launcher;
    private final SocketFile listener;
    private final ExecutorService thread =
            Executors.newSingleThreadExecutor(task -> new Thread(task, "worker-starter"));

    private volatile boolean closing;

    /** @param listener where workers connect; taken over */
    WorkerStarter(WorkerLauncher launcher, SocketFile listener) {
        this.launcher = launcher;
        this.listener = listener;
    }

    /**
     * The worker when it has connected; it is not ready yet. Whoever cancels this has it ended, at whatever stage it
     * is: a start that nobody waits for leaves no process.
     */
    CompletableFuture<Worker> start(IdMaps maps) {
        CompletableFuture<Worker> start = new CompletableFuture<>();
        try {
            thread.execute(() -> startFor(start, maps));
        } catch (RejectedExecutionException e) {
            start.completeExceptionally(new IOException("the daemon is being stopped"));
        }
        return start;
    }

    private void startFor(CompletableFuture<Worker> start, IdMaps maps) {
        if (start.isDone()) {
            return;
        }
        try {
            Worker worker = startNow(start, maps);
            if (!start.complete(worker)) {
                worker.close();
            }
        } catch (IOException | RuntimeException | Error e) {
            start.completeExceptionally(e);
        }
    }

    private Worker startNow(CompletableFuture<Worker> start, IdMaps maps) throws IOException {
        Process process = new ProcessBuilder(launcher.command(listener.path(), maps))
                .redirectInput(new File("/dev/null"))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        LaunchedProcess launched = new LaunchedProcess(process);
        try {
            WorkerLog log = new WorkerLog(process.getErrorStream(), process.pid());
            Thread reader = new Thread(log, "worker-log-" + process.pid());
            reader.setDaemon(true);
            reader.start();
            ChannelSocket connection = connectionOf(launched, log, start);
            return new Worker(FrameChannel.withoutDescriptors(connection, Worker.MAXIMUM_FRAME_SIZE), launched, maps);
        } catch (IOException | RuntimeException | Error e) {
            launched.kill();
            process.destroyForcibly();
            launched.awaitGone(CLOSE_MILLIS);
            throw e;
        }
    }

    private ChannelSocket connectionOf(LaunchedProcess launched, WorkerLog log, CompletableFuture<Worker> start)
            throws IOException {
        long deadline = System.nanoTime() + CONNECT_MILLIS * 1_000_000;
        while (System.nanoTime() < deadline && !closing && !start.isDone()) {
            ChannelSocket connection = listener.accept();
            if (connection == null) {
                if (!launched.isAlive()) {
                    throw new IOException("launcher " + launched.exit().describe() + ": " + log.lastLine());
                }
                Poll.await(listener.number(), Poll.POLLIN, LOOK_MILLIS);
            } else if (connection.peer().pid() == launched.pid()) {
                return connection;
            } else {
                // one that came too late for its own start, or not from us
                connection.close();
            }
        }
        throw new IOException(reason(start));
    }

    private String reason(CompletableFuture<Worker> start) {
        if (closing) {
            return "the daemon is being stopped";
        }
        return start.isDone()
                ? "nobody waits for this worker"
                : "launcher did not connect within " + CONNECT_MILLIS / 1000 + " s";
    }

    @Override
    public void close() {
        closing = true;
        thread.shutdown();
        try {
            if (!thread.awaitTermination(CLOSE_MILLIS, TimeUnit.MILLISECONDS)) {
                LOG.error("a worker is still being started");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        listener.close();
    }
}
