package pve.oci.linux;

import java.io.IOException;
import java.util.logging.LogManager;
import java.util.logging.Logger;

/**
 * Keeps java.util.logging from reading its configuration and looking for services in every jar: 12 ms of a worker's
 * start, and more of the daemon's. JNA makes a logger when it is loaded, and says nothing through it. The JVM's option
 * {@code -Djava.util.logging.manager} names this class.
 */
public final class QuietLogManager extends LogManager {
    /** Always fails. The JDK takes no notice, but after a success it would look for services in every jar. */
    @Override
    public void readConfiguration() throws IOException {
        throw new IOException("loggers keep the level INFO, and have no handlers");
    }

    @Override
    public boolean addLogger(Logger logger) {
        return true;
    }
}
