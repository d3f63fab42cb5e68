package pve.oci.daemon;

import java.io.IOException;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.service.Worker;
import pve.oci.service.WorkerConversation;
import pve.oci.service.WorkerRequest;
import pve.oci.varlink.Idl;
import pve.oci.varlink.VarlinkException;

/** Lets a spare worker extract a built-in image a few times, so that its code is compiled before its job comes. */
final class WarmUp {
    private static final int MAXIMUM_RUNS = 25;
    private static final long MAXIMUM_NANOS = 1_500_000_000;
    private static final long HANG_MILLIS = 10_000;
    private static final Logger LOG = LoggerFactory.getLogger(WarmUp.class);

    private final Idl idl;
    private final WarmUpImage image;

    WarmUp(Idl idl, WarmUpImage image) {
        this.idl = idl;
        this.image = image;
    }

    /**
     * Warms the worker up. Ends early, between two runs, when the worker is wanted. A worker that fails here must not
     * be used.
     */
    void run(Worker worker, BooleanSupplier mayGoOn) throws IOException {
        if (worker.maps().onlyReads()) {
            return; // such workers never extract
        }
        long started = System.nanoTime();
        int runs = 0;
        while (runs < MAXIMUM_RUNS && System.nanoTime() - started < MAXIMUM_NANOS && mayGoOn.getAsBoolean()) {
            runOnce(worker);
            runs++;
        }
        LOG.debug("worker warmed runs={} ms={}", runs, (System.nanoTime() - started) / 1_000_000);
    }

    private void runOnce(Worker worker) throws IOException {
        try (Fd archive = image.open();
                Fd root = Mounts.tmpfs(
                        Libc.MOUNT_ATTR_NOSUID | Libc.MOUNT_ATTR_NODEV | Libc.MOUNT_ATTR_NOEXEC,
                        "size",
                        "16m",
                        "mode",
                        "0755",
                        "uid",
                        Long.toString(worker.maps().uid().mappedRoot()),
                        "gid",
                        Long.toString(worker.maps().gid().mappedRoot()))) {
            new WorkerConversation(idl, HANG_MILLIS)
                    .runUnheard(
                            worker,
                            WorkerRequest.ofWarmUp(archive, root, worker.maps()),
                            idl.method("ParseAndExtractImage").output());
        } catch (VarlinkException e) {
            throw new IOException(String.valueOf(e.parameters().get("message")), e);
        }
    }
}
