package pve.oci.daemon;

import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXDatagramChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.slf4j.event.KeyValuePair;

/**
 * Writes to standard error. If journald reads that, an event with fields goes to journald by journald's own protocol
 * instead, so that its fields can be searched for. All other events stay on standard error: for a message of its own
 * protocol, journald finds the unit by the sender's process, which may be gone by then.
 */
final class JournalAppender extends ConsoleAppender<ILoggingEvent> {
    static final String PREFIX = "PVE_OCI_";

    private static final Path SOCKET = Path.of("/run/systemd/journal/socket");

    private final @Nullable Path journal;

    /** @param journal the socket of journald, null where nothing is to be sent to it */
    JournalAppender(@Nullable Path journal) {
        this.journal = journal;
        setTarget("System.err");
    }

    /** @param stream as in the environment: device and inode of what journald reads, systemd.exec(5) */
    static @Nullable Path socketFor(@Nullable String stream, Path standardError) {
        try {
            String actual =
                    Files.getAttribute(standardError, "unix:dev") + ":" + Files.getAttribute(standardError, "unix:ino");
            return actual.equals(stream) ? SOCKET : null;
        } catch (IOException e) {
            return null;
        }
    }

    @Override
    protected void append(ILoggingEvent event) {
        List<KeyValuePair> fields = event.getKeyValuePairs();
        if (journal == null || fields == null || !isSent(journal, event, fields)) {
            super.append(event);
        }
    }

    private static boolean isSent(Path journal, ILoggingEvent event, List<KeyValuePair> fields) {
        ByteArrayOutputStream entry = new ByteArrayOutputStream();
        addField(entry, "PRIORITY", Integer.toString(JournalEncoder.priority(event.getLevel())));
        addField(entry, "SYSLOG_IDENTIFIER", "pve-ocid");
        addField(entry, "MESSAGE", String.join("\n", JournalEncoder.lines(event)));
        for (KeyValuePair field : fields) {
            addField(entry, PREFIX + field.key.toUpperCase(Locale.ROOT), String.valueOf(field.value));
        }
        try (AFUNIXDatagramChannel channel = AFUNIXDatagramChannel.open()) {
            channel.connect(AFUNIXSocketAddress.of(journal));
            channel.write(ByteBuffer.wrap(entry.toByteArray()));
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Adds a field in the form that states its length, so that any value is possible
     * (systemd.io/JOURNAL_NATIVE_PROTOCOL).
     */
    private static void addField(ByteArrayOutputStream entry, String name, String value) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        entry.writeBytes((name + "\n").getBytes(StandardCharsets.UTF_8));
        entry.writeBytes(length.putLong(bytes.length).array());
        entry.writeBytes(bytes);
        entry.write('\n');
    }
}
