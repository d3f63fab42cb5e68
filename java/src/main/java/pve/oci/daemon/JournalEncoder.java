package pve.oci.daemon;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.IThrowableProxy;
import ch.qos.logback.classic.spi.StackTraceElementProxy;
import ch.qos.logback.core.encoder.EncoderBase;
import java.nio.charset.StandardCharsets;
import pve.oci.text.Text;

/**
 * Lines for journald: each starts with its priority, {@code <N>} (sd-daemon(3)). An event's message is one line,
 * whatever is in it: a line break that came from a client or an image would forge a line of ours. Only the frames of a
 * stack trace make lines of their own.
 */
final class JournalEncoder extends EncoderBase<ILoggingEvent> {
    @Override
    public byte[] encode(ILoggingEvent event) {
        String prefix = "<" + priority(event.getLevel()) + ">";
        StringBuilder lines = new StringBuilder();
        addLine(lines, prefix, event.getFormattedMessage());
        String introduction = "";
        for (IThrowableProxy thrown = event.getThrowableProxy(); thrown != null; thrown = thrown.getCause()) {
            addLine(lines, prefix, introduction + thrown.getClassName() + ": " + thrown.getMessage());
            for (StackTraceElementProxy frame : thrown.getStackTraceElementProxyArray()) {
                addLine(lines, prefix, "    " + frame.getSTEAsString());
            }
            introduction = "Caused by: ";
        }
        return lines.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void addLine(StringBuilder lines, String prefix, String unsafe) {
        lines.append(prefix).append(Text.clean(unsafe.stripTrailing())).append('\n');
    }

    private static int priority(Level level) {
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
