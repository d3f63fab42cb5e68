package pve.oci.service;

import java.util.concurrent.CompletableFuture;

/** Where workers come from. */
public interface WorkerSource {
    /**
     * A worker for one job: a spare one, or a new one. Whoever gets it closes it. The future fails with an IOException
     * when no worker can be started.
     */
    CompletableFuture<Worker> take(IdMaps maps);

    /** A job with these maps has been answered: now is the time to start the next spare worker. */
    void jobEnded(IdMaps maps);

    /** How many spare workers there are. */
    int spareCount();
}
