package pve.oci.daemon;

import java.util.List;
import pve.oci.service.IdMaps;

/** How a worker is started: the command that becomes its process. */
interface WorkerLauncher {
    /**
     * The command line. The first thing that its process does is to connect to the socket, as soon as there is one, and
     * itself, not by a child, so that the connection's credentials show which process it belongs to.
     */
    List<String> command(String socketPath, IdMaps maps);

    /** The command line of a worker that will not be warmed up before its job. */
    default List<String> commandInBurst(String socketPath, IdMaps maps) {
        return command(socketPath, maps);
    }
}
