package pve.oci.service;

import java.util.concurrent.CompletableFuture;

/** Where workers come from. */
public interface WorkerSource {
    /**
     * Returns a worker for one job: a spare one or a new one. The caller has to close it. The future fails with an
     * IOException when no worker can be started.
     */
    CompletableFuture<Worker> take(IdMaps maps);

    /** A job with these maps has been answered: now is the time to start the next spare worker. */
    void jobEnded(IdMaps maps);

    /** How many spare workers there are. */
    int spareCount();
}
