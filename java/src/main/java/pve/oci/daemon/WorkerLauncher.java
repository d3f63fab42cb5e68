package pve.oci.daemon;

import java.util.List;
import pve.oci.service.IdMaps;

/** How a worker is started: the command that becomes its process. */
interface WorkerLauncher {
    /**
     * The command line. The first thing that its process does is to connect to the socket, itself and not by a child,
     * so that the connection's credentials show which process it belongs to.
     */
    List<String> command(String socketPath, IdMaps maps);
}
