package pve.oci.service;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Poll;
import pve.oci.varlink.FrameChannel;

/** A worker that is ready for a job: its process, and the connection to it. One thread owns it. */
public final class Worker implements AutoCloseable {
    /**
     * Largest frame of a worker. It holds at most an image's configuration, twice, and a few lists. While it is being
     * received it can take almost twice as much memory, which has to fit into the daemon's heap (bin/pve-ocid).
     */
    public static final int MAXIMUM_FRAME_SIZE = 13 << 20;

    /**
     * A process that SIGKILL does not end within this time waits for a device. This is logged, and nobody waits longer.
     */
    private static final long GONE_MILLIS = 10_000;

    private static final Logger LOG = LoggerFactory.getLogger(Worker.class);

    private final FrameChannel channel;
    private final WorkerProcess process;
    private final IdMaps maps;
    private boolean closed;

    /**
     * Takes the channel over, and kills the process at the end.
     *
     * @param maps of the user namespace that the worker was started in
     */
    public Worker(FrameChannel channel, WorkerProcess process, IdMaps maps) {
        this.channel = channel;
        this.process = process;
        this.maps = maps;
    }

    public FrameChannel channel() {
        return channel;
    }

    public WorkerProcess process() {
        return process;
    }

    public IdMaps maps() {
        return maps;
    }

    /**
     * Kills the worker and waits until nothing of it is left: then it holds nothing open any more. When its socket has
     * ended, its descriptors are being closed; when its process is gone, they are closed.
     */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        process.kill();
        if (!process.awaitGone(GONE_MILLIS)) {
            LOG.error("worker cannot be killed pid={}", process.pid());
        }
        try {
            awaitEnd();
        } catch (ErrnoException e) {
            LOG.debug("connection of a dead worker reason=\"{}\"", e.getMessage());
        } finally {
            channel.close();
        }
    }

    /** What it still sends is not read. */
    private void awaitEnd() throws ErrnoException {
        long deadline = System.nanoTime() + GONE_MILLIS * 1_000_000;
        long left = GONE_MILLIS;
        while (!channel.hasEnded() && left > 0 && Poll.await(channel.socket().number(), 0, left) == 0) {
            left = (deadline - System.nanoTime()) / 1_000_000;
        }
    }
}
