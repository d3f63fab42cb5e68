/**
 * The interface io.pve.oci: parameters, rules about peers and ID maps, jobs, and the conversation with the worker that
 * does a job. Parses nothing that comes out of an image, and takes a worker's word for nothing.
 */
@NullMarked
package pve.oci.service;

import org.jspecify.annotations.NullMarked;
