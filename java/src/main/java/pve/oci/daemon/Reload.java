package pve.oci.daemon;

import java.io.IOException;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.service.ServiceSettings;

/** Reads the configuration again and puts it in force for jobs that begin from now on. A wrong one changes nothing. */
final class Reload implements Runnable {
    private static final Logger LOG = LoggerFactory.getLogger(Reload.class);

    private final DaemonOptions options;
    private final Daemon daemon;
    private final Function<Configuration, ServiceSettings> settings;
    private Configuration inForce;

    Reload(
            DaemonOptions options,
            Configuration inForce,
            Daemon daemon,
            Function<Configuration, ServiceSettings> settings) {
        this.options = options;
        this.inForce = inForce;
        this.daemon = daemon;
        this.settings = settings;
    }

    @Override
    public synchronized void run() {
        try {
            Configuration read = Configuration.read(options.config(), options.settings());
            daemon.reload(settings.apply(read), read.number(Setting.SPARES));
            LogConfigurator.setVerbose(read.isOn(Setting.VERBOSE));
            LOG.info("reloaded{}", read.differenceFrom(inForce));
            inForce = read;
        } catch (IOException e) {
            LOG.error("not reloaded, everything stays as it is: {}", e.getMessage());
        }
    }
}
