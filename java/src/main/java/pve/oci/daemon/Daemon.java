package pve.oci.daemon;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.DescriptorGate;
import pve.oci.linux.FileMappings;
import pve.oci.linux.NativeBuffer;
import pve.oci.linux.Poll;
import pve.oci.service.IdMaps;
import pve.oci.service.Metrics;
import pve.oci.service.OciService;
import pve.oci.service.ServiceSettings;
import pve.oci.varlink.ServiceInfo;
import pve.oci.varlink.VarlinkServer;

/** The running daemon: accepts connections until it is told to stop, then leaves nothing behind. */
final class Daemon {
    private static final long STOP_MILLIS = 5_000;
    private static final long GRACE_MILLIS = 500;

    /**
     * How often to look, while there are clients, for spares that should end and whether the last client has left.
     * Without clients the daemon waits for the next deadline.
     */
    private static final long BUSY_MILLIS = 10_000;

    /** How long the daemon keeps, after its last client has left, memory that the next client would need again. */
    private static final long TIDY_MILLIS = 10_000;

    /** After a collection other threads still have some work, and only then are pages of files given back. */
    private static final long SETTLE_MILLIS = 1_000;

    private static final Logger LOG = LoggerFactory.getLogger(Daemon.class);

    private final SocketFile listener;
    private final WorkerPool workers;
    private final OciService service;
    private final Connections connections;
    private final SystemdNotifier systemd;
    private final CountDownLatch stopped = new CountDownLatch(1);
    private final ChannelSocket wakeUp;
    private final ChannelSocket woken;
    private final Poll poll = new Poll(3);
    private final DescriptorGate gate;
    private final FileMappings files = new FileMappings("");

    /** How much of {@link #tidy} has been done since the last client. */
    private int tidied;

    private volatile long idleExitMillis;
    private volatile boolean stopping;

    Daemon(SocketFile listener, WorkerPool workers, ServiceSettings settings, SystemdNotifier systemd)
            throws IOException {
        List<ChannelSocket> pair = ChannelSocket.pair();
        this.wakeUp = pair.get(0);
        this.woken = pair.get(1);
        this.listener = listener;
        this.gate = new DescriptorGate(listener.number(), listener.file());
        this.workers = workers;
        this.systemd = systemd;
        Metrics metrics = new Metrics();
        this.service = new OciService(settings, workers, metrics);
        ServiceInfo info = new ServiceInfo("pve-oci", "pve-ocid", version(), "man:pve-ocid(8)");
        VarlinkServer server = new VarlinkServer(info, List.of(service.asInterface()));
        this.connections = new Connections(server::serve);
        long started = System.nanoTime();
        metrics.gauge("connections", null, connections::size);
        metrics.gauge("uptime", "seconds", () -> TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - started));
    }

    /** Returns when the daemon has been told to stop and everything has ended. */
    void run() throws IOException {
        LOG.info("listening socket={}", listener.path());
        systemd.tell("READY=1");
        try {
            while (!stopping) {
                accept();
            }
        } finally {
            end();
        }
    }

    /** Sets the settings for jobs that begin from now on. Called from another thread. */
    void reload(ServiceSettings settings, WorkerPool.Limits limits, long idleExit) {
        service.reload(settings);
        // spare workers were started with the old limits
        workers.dropAll();
        workers.setLimits(limits);
        workers.prepare(IdMaps.DEFAULT);
        setIdleExit(idleExit);
        try {
            wakeUp.send(new byte[1], 0, 1, List.of());
        } catch (IOException e) {
            // the daemon is about to wake up anyway
        }
    }

    /** @param millis 0: never */
    void setIdleExit(long millis) {
        idleExitMillis = millis;
    }

    /** The version, from the jar; without a jar there is none. */
    static String version() {
        String version = Daemon.class.getPackage().getImplementationVersion();
        return version == null ? "0.1.0" : version;
    }

    private void accept() throws IOException {
        systemd.tellAlive(connections.size() > 0);
        poll.set(0, listener.number(), Poll.POLLIN)
                .set(1, woken.number(), Poll.POLLIN)
                .set(2, gate.number(), Poll.POLLIN);
        tidy();
        poll.await(3, waitingMillis());
        gate.refresh();
        woken.receive(new byte[16], 0, 16, null);
        workers.dropUnused();
        if (poll.result(0) == 0 && millisUntilIdleExit() == 0) {
            LOG.info("nobody has asked for anything seconds={}", idleExitMillis / 1000);
            stopping = true;
        }
        if (stopping) {
            return;
        }
        try {
            for (ChannelSocket next = listener.accept(); next != null; next = listener.accept()) {
                tidied = 0;
                connections.serve(next);
            }
        } catch (IOException e) {
            // EMFILE, ENFILE, ENOMEM: the next connection may fare better when others have ended
            LOG.error("connection not accepted reason=\"{}\"", e.getMessage());
            pause();
        }
    }

    /** Right before waiting, because whatever runs after it needs pages again. */
    private void tidy() {
        if (millisUntilTidy() != 0) {
            return;
        }
        if (tidied++ == 0) {
            System.gc();
            NativeBuffer.trimAll();
            return;
        }
        try {
            files.find();
            files.giveBack();
        } catch (IOException e) {
            LOG.warn("mappings not found reason=\"{}\"", e.getMessage());
        }
    }

    /** Until the next deadline; -1: until somebody connects. */
    private long waitingMillis() {
        long next = systemd.watchdogMillis();
        next = earlier(next, workers.millisUntilUnused());
        next = earlier(next, millisUntilIdleExit());
        next = earlier(next, millisUntilTidy());
        if (connections.size() > 0) {
            next = earlier(next, BUSY_MILLIS);
            // the last client may leave just now, and the daemon must not end late
            next = earlier(next, idleExitMillis > 0 ? idleExitMillis : -1);
        }
        return next;
    }

    private static long earlier(long one, long other) {
        if (one < 0 || other < 0) {
            return Math.max(one, other);
        }
        return Math.min(one, other);
    }

    /**
     * -1: it stays. Only a daemon that systemd started by its socket ends: the next client starts it again. One that
     * connects while this one ends waits in the socket's queue, which is systemd's.
     */
    private long millisUntilIdleExit() {
        if (idleExitMillis == 0 || listener.bound() != null || connections.size() > 0) {
            return -1;
        }
        return Math.max(0, idleExitMillis - connections.millisSinceLast());
    }

    /** Until a daemon without clients gives back what memory the last ones have cost; -1: it has, or has clients. */
    private long millisUntilTidy() {
        if (tidied == 2 || connections.size() > 0) {
            return -1;
        }
        return Math.max(0, TIDY_MILLIS + tidied * SETTLE_MILLIS - connections.millisSinceLast());
    }

    private static void pause() {
        try {
            Thread.sleep(100);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Called from another thread, at SIGTERM; waits for the end. */
    void stop() {
        stopping = true;
        wakeUp.shutdown();
        try {
            if (!stopped.await(2 * STOP_MILLIS, TimeUnit.MILLISECONDS)) {
                LOG.error("not everything has ended");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void end() {
        systemd.tell("STOPPING=1");
        listener.close();
        try {
            service.shutDown(STOP_MILLIS);
            // the replies of the jobs that were ended are still being sent
            connections.shutDown(GRACE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        workers.close();
        wakeUp.close();
        woken.close();
        gate.close();
        LOG.info("stopped");
        stopped.countDown();
    }
}
