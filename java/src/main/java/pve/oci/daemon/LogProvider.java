package pve.oci.daemon;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.util.LogbackMDCAdapter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.slf4j.ILoggerFactory;
import org.slf4j.IMarkerFactory;
import org.slf4j.LoggerFactory;
import org.slf4j.helpers.BasicMarkerFactory;
import org.slf4j.spi.MDCAdapter;
import org.slf4j.spi.SLF4JServiceProvider;

/**
 * The log: logback, which writes to standard error. Logback's own provider compares versions and looks for
 * configurators and files first: 50 ms for which the first client of a daemon would wait.
 */
public final class LogProvider implements SLF4JServiceProvider {
    private static final Path STANDARD_ERROR = Path.of("/proc/self/fd/2");

    private static final Pattern TERMINAL = Pattern.compile("/dev/(pts/|tty|console).*");

    private final LoggerContext context = new LoggerContext();
    private final IMarkerFactory markers = new BasicMarkerFactory();
    private final LogbackMDCAdapter mdc = new LogbackMDCAdapter();

    /** Has SLF4J use this provider. To be called before anybody has asked for a logger. */
    static void use() {
        System.setProperty(LoggerFactory.PROVIDER_PROPERTY_KEY, LogProvider.class.getName());
        // or it says on standard error what it was told here
        System.setProperty("slf4j.internal.verbosity", "WARN");
    }

    @Override
    public void initialize() {
        context.setMDCAdapter(mdc);
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
        context.start();
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

    @Override
    public ILoggerFactory getLoggerFactory() {
        return context;
    }

    @Override
    public IMarkerFactory getMarkerFactory() {
        return markers;
    }

    @Override
    public MDCAdapter getMDCAdapter() {
        return mdc;
    }

    /** The newest version of SLF4J's interface that this implements, see {@link SLF4JServiceProvider}. */
    @Override
    public String getRequestedApiVersion() {
        return "2.0.99";
    }
}
