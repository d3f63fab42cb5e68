package pve.oci.service;

import pve.oci.varlink.Idl;

/** What all jobs share. */
record JobContext(Idl idl, ServiceSettings settings, JobSlots slots, WorkerSource workers, RootClaims claims) {
    JobContext with(ServiceSettings changed) {
        return new JobContext(idl, changed, slots, workers, claims);
    }
}
