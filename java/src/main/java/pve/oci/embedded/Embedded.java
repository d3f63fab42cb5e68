package pve.oci.embedded;

import java.io.IOException;
import pve.oci.worker.WorkerMain;

/**
 * Main class of the engine embedded in Perl: created by PVE::OCI::JVM in a forked child, with the connection to its
 * parent as descriptor 0. The parent is to this process what the daemon is to a worker, for one job.
 */
public final class Embedded {
    private Embedded() {}

    /**
     * Does the job and ends the process at once: its end is what the parent waits for.
     *
     * @param arguments the number of jobs, when it is not one: class-data archives are made so
     */
    public static void main(String[] arguments) throws IOException {
        WorkerMain.serve(arguments.length == 0 ? 1 : Integer.parseInt(arguments[0]));
        Runtime.getRuntime().halt(0);
    }
}
