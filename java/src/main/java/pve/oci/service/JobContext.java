package pve.oci.service;

import java.util.concurrent.Semaphore;
import pve.oci.varlink.Idl;

/**
 * What all jobs share.
 *
 * @param keeps a permit for each worker that may wait for the next call of its client
 */
record JobContext(
        Idl idl, ServiceSettings settings, JobSlots slots, WorkerSource workers, RootClaims claims, Semaphore keeps) {
    JobContext with(ServiceSettings changed) {
        return new JobContext(idl, changed, slots, workers, claims, keeps);
    }
}
