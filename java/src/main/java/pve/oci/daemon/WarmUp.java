package pve.oci.daemon;

import java.io.IOException;
import java.util.function.BooleanSupplier;
import org.slf4j.LoggerFactory;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Mounts;
import pve.oci.service.OciService;
import pve.oci.service.Worker;
import pve.oci.service.WorkerConversation;
import pve.oci.service.WorkerRequest;
import pve.oci.varlink.VarlinkException;

/** Lets a spare worker extract a built-in image a few times, so that its code is compiled before its job comes. */
final class WarmUp {
    private static final int MAXIMUM_RUNS = 25;
    private static final long MAXIMUM_NANOS = 1_500_000_000;
    private static final long HANG_MILLIS = 10_000;

    private final WarmUpImage image;

    WarmUp(WarmUpImage image) {
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
            // an update compares the tree first; most jobs are extractions
            runOnce(worker, runs % 2 == 1);
            runs++;
        }
        LoggerFactory.getLogger(WarmUp.class)
                .debug("worker warmed runs={} ms={}", runs, (System.nanoTime() - started) / 1_000_000);
    }

    private void runOnce(Worker worker, boolean compares) throws IOException {
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
            WorkerConversation conversation = new WorkerConversation(OciService.IDL, HANG_MILLIS);
            conversation.runUnheard(
                    worker,
                    WorkerRequest.ofWarmUp(archive, root, worker.maps()),
                    OciService.IDL.method("ParseAndExtractImage").output());
            if (compares) {
                conversation.runUnheard(
                        worker,
                        WorkerRequest.ofWarmUpComparison(root),
                        OciService.IDL.method("CompareRootDirectory").output());
            }
        } catch (VarlinkException e) {
            throw new IOException(String.valueOf(e.parameters().get("message")), e);
        }
    }
}
