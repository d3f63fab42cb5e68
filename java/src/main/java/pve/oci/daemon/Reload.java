package pve.oci.daemon;

import java.io.IOException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads the configuration again, for jobs that begin from now on. If it has a mistake, nothing changes. */
final class Reload implements Runnable {
    private static final Logger LOG = LoggerFactory.getLogger(Reload.class);

    private final DaemonOptions options;
    private final Consumer<Configuration> putInForce;
    private Configuration inForce;

    Reload(DaemonOptions options, Configuration inForce, Consumer<Configuration> putInForce) {
        this.options = options;
        this.inForce = inForce;
        this.putInForce = putInForce;
    }

    @Override
    public synchronized void run() {
        try {
            Configuration read = Configuration.read(options.config(), options.settings());
            putInForce.accept(read);
            LogProvider.setVerbose(read.isOn(Setting.VERBOSE));
            LOG.info("reloaded{}", read.differenceFrom(inForce));
            inForce = read;
        } catch (IOException e) {
            LOG.error("not reloaded, everything stays as it is: {}", e.getMessage());
        }
    }
}
