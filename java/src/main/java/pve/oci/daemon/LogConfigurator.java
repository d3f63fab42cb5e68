package pve.oci.daemon;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.core.spi.ContextAwareBase;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.slf4j.LoggerFactory;

/**
 * Sends the log to standard error. logback finds this class as a service, so there is no configuration file to look
 * for.
 */
public final class LogConfigurator extends ContextAwareBase implements Configurator {
    private static final Path STANDARD_ERROR = Path.of("/proc/self/fd/2");

    private static final Pattern TERMINAL = Pattern.compile("/dev/(pts/|tty|console).*");

    @Override
    public ExecutionStatus configure(LoggerContext context) {
        JournalEncoder encoder = new JournalEncoder(isTerminal(STANDARD_ERROR));
        encoder.setContext(context);
        encoder.start();
        JournalAppender appender =
                new JournalAppender(JournalAppender.socketFor(System.getenv("JOURNAL_STREAM"), STANDARD_ERROR));
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.start();
        Logger root = context.getLogger(Logger.ROOT_LOGGER_NAME);
        root.setLevel(Level.INFO);
        root.addAppender(appender);
        return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
    }

    private static boolean isTerminal(Path file) {
        try {
            return TERMINAL.matcher(Files.readSymbolicLink(file).toString()).matches();
        } catch (IOException e) {
            return false;
        }
    }

    static void setVerbose(boolean verbose) {
        if (LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME) instanceof Logger root) {
            root.setLevel(verbose ? Level.DEBUG : Level.INFO);
        }
    }
}
