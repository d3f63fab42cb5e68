package pve.oci.daemon;

import java.util.List;
import pve.oci.service.IdMaps;

/** How a worker is started: the command that becomes its process. */
interface WorkerLauncher {
    /**
     * The command line. Its process connects to the socket as its first act, by itself and not by a child, so that the
     * connection's credentials show whose it is.
     */
    List<String> command(String socketPath, IdMaps maps);
}
