package pve.oci.service;

import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Poll;
import pve.oci.varlink.ServerCall;

/**
 * A worker that has done one step of an update and waits for the next one: starting another would take longer than most
 * steps. It only serves the same client, over the same connection, in the same root directory, so an image that has
 * taken it over gains nothing: it had that tree before. It gets no other image. While it waits it is stopped, runs no
 * code, and has no slot. It never waits for more than some seconds, nor after a step that has failed.
 */
final class KeptWorker implements ServerCall.KeptResource {
    /** How many may wait at once. The steps of further updates get workers of their own. */
    static final int MAXIMUM = 2;

    private final Worker worker;
    private final FileIdentity root;
    private final JobContext context;
    private boolean isTaken;

    private KeptWorker(Worker worker, FileIdentity root, JobContext context) {
        this.worker = worker;
        this.root = root;
        this.context = context;
    }

    /** Stops a worker; null when it may not wait, and is to be killed. */
    static @Nullable KeptWorker of(Worker worker, FileIdentity root, JobContext context) {
        if (!context.keeps().tryAcquire()) {
            return null;
        }
        if (!worker.process().pause()) {
            context.keeps().release();
            return null;
        }
        return new KeptWorker(worker, root, context);
    }

    /** The worker, if it may do this; null otherwise. {@link #close} has to follow. */
    @Nullable
    Worker take(ImageMethod method, FileIdentity ofRoot, IdMaps maps) {
        if (method.hasArchive() || !root.equals(ofRoot) || !worker.maps().equals(maps) || hasSaidMore()) {
            return null;
        }
        isTaken = true;
        worker.process().resume();
        return worker;
    }

    /** Whether it is dead, or has sent something behind its last reply. */
    private boolean hasSaidMore() {
        try {
            return Poll.await(worker.channel().socket().number(), Poll.POLLIN, 0) != 0;
        } catch (ErrnoException e) {
            return true;
        }
    }

    /** Ends the worker unless it was taken. */
    @Override
    public void close() {
        context.keeps().release();
        if (!isTaken) {
            worker.close();
            context.workers().jobEnded(worker.maps());
        }
    }
}
