/**
 * The interface io.pve.oci: parameters, rules about peers and ID maps, jobs, and the conversation with the worker that
 * does a job. Never reads an archive, and checks everything that a worker sends.
 */
@NullMarked
package pve.oci.service;

import org.jspecify.annotations.NullMarked;
