package pve.oci.daemon;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.classic.spi.StackTraceElementProxy;
import ch.qos.logback.core.encoder.EncoderBase;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import pve.oci.text.Text;

/**
 * Writes log lines for journald: each starts with its priority, {@code <N>} (sd-daemon(3)). On a terminal it starts
 * with the program's name instead. An event's message is always one line: with a line break of its own, a client or an
 * image could forge a line of the log. Only the frames of a stack trace have lines of their own.
 */
final class JournalEncoder extends EncoderBase<ILoggingEvent> {
    private final boolean isForTerminal;

    JournalEncoder(boolean isForTerminal) {
        this.isForTerminal = isForTerminal;
    }

    @Override
    public byte[] encode(ILoggingEvent event) {
        String prefix = isForTerminal ? "pve-ocid: " : "<" + priority(event.getLevel()) + ">";
        StringBuilder text = new StringBuilder();
        for (String line : lines(event)) {
            text.append(prefix).append(line).append('\n');
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** The event as lines that are safe to show: the message, and the exception. */
    static List<String> lines(ILoggingEvent event) {
        List<String> lines = new ArrayList<>();
        lines.add(clean(event.getFormattedMessage()));
        String introduction = "";
        for (IThrowableProxy thrown = event.getThrowableProxy(); thrown != null; thrown = thrown.getCause()) {
            lines.add(clean(introduction + thrown.getClassName() + ": " + thrown.getMessage()));
            for (StackTraceElementProxy frame : thrown.getStackTraceElementProxyArray()) {
                lines.add(clean("    " + frame.getSTEAsString()));
            }
            introduction = "Caused by: ";
        }
        return lines;
    }

    private static String clean(String unsafe) {
        return Text.clean(unsafe.stripTrailing());
    }

    static int priority(Level level) {
        return switch (level.toInt()) {
            case Level.ERROR_INT -> 3;
            case Level.WARN_INT -> 4;
            case Level.INFO_INT -> 6;
            default -> 7;
        };
    }

    @Override
    public byte[] headerBytes() {
        return new byte[0];
    }

    @Override
    public byte[] footerBytes() {
        return new byte[0];
    }
}
