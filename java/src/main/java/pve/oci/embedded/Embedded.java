package pve.oci.embedded;

import java.io.IOException;
import pve.oci.worker.WorkerMain;

/**
 * Main class of the engine embedded in Perl: created by PVE::OCI::JVM in a forked child, with the connection to its
 * parent as descriptor 0. The parent is to this process what the daemon is to a worker.
 */
public final class Embedded {
    private Embedded() {}

    /**
     * Does one job after the other. The parent ends the process when it has no more of them.
     *
     * @param arguments how many jobs to do; without it there is no limit. bin/pve-oci-class-data passes it
     */
    public static void main(String[] arguments) throws IOException {
        WorkerMain.serve(arguments.length == 0 ? Integer.MAX_VALUE : Integer.parseInt(arguments[0]));
        Runtime.getRuntime().halt(0);
    }
}
