package pve.oci.service;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import pve.oci.text.Text;
import pve.oci.varlink.VarlinkException;

/** Waits for a worker that is being started. */
final class AwaitedWorker {
    private static final long POLL_MILLIS = 10;

    private AwaitedWorker() {}

    /**
     * Returns the worker once it has been started.
     *
     * @param waiting called again and again while the worker starts; if it throws, the worker is not wanted any more,
     *     and is ended
     */
    static Worker await(CompletableFuture<Worker> starting, JobSlots.Waiting waiting) throws VarlinkException {
        boolean isTaken = false;
        try {
            while (true) {
                try {
                    Worker worker = starting.get(POLL_MILLIS, TimeUnit.MILLISECONDS);
                    isTaken = true;
                    return worker;
                } catch (TimeoutException e) {
                    waiting.checkWanted();
                }
            }
        } catch (ExecutionException e) {
            throw OciErrors.workerFailed("worker cannot be started: " + Text.clean(reason(e)));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw OciErrors.shuttingDown();
        } finally {
            if (!isTaken) {
                starting.cancel(false);
            }
        }
    }

    private static String reason(ExecutionException e) {
        return String.valueOf(
                e.getCause() == null ? e.getMessage() : e.getCause().getMessage());
    }
}
