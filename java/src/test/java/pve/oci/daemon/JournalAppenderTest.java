package pve.oci.daemon;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import ch.qos.logback.classic.util.LogbackMDCAdapter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.newsclub.net.unix.AFUNIXDatagramChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.slf4j.event.KeyValuePair;

class JournalAppenderTest {
    @TempDir
    Path directory;

    /** What goes to standard error. */
    private final ByteArrayOutputStream lines = new ByteArrayOutputStream();

    private String append(Path journal, KeyValuePair... fields) {
        LoggerContext context = new LoggerContext();
        context.setMDCAdapter(new LogbackMDCAdapter());
        LoggingEvent event = new LoggingEvent("test", context.getLogger("test"), Level.WARN, "job\nended", null, null);
        for (KeyValuePair field : fields) {
            event.addKeyValuePair(field);
        }
        JournalEncoder encoder = new JournalEncoder(false);
        encoder.start();
        JournalAppender appender = new JournalAppender(journal);
        appender.setContext(context);
        appender.setEncoder(encoder);
        appender.start();
        appender.setOutputStream(lines);
        appender.doAppend(event);
        return lines.toString(UTF_8);
    }

    /** Fields of an entry, as journald reads them. */
    private static Map<String, String> fields(ByteBuffer entry) {
        Map<String, String> fields = new LinkedHashMap<>();
        entry.order(ByteOrder.LITTLE_ENDIAN);
        while (entry.hasRemaining()) {
            StringBuilder name = new StringBuilder();
            for (char c = (char) entry.get(); c != '\n'; c = (char) entry.get()) {
                name.append(c);
            }
            byte[] value = new byte[Math.toIntExact(entry.getLong())];
            entry.get(value);
            assertThat(entry.get()).isEqualTo((byte) '\n');
            fields.put(name.toString(), new String(value, UTF_8));
        }
        return fields;
    }

    @Test
    void sends_an_event_with_fields_to_journald_alone() throws IOException {
        Path socket = directory.resolve("journal");
        try (AFUNIXDatagramChannel journal = AFUNIXDatagramChannel.open()) {
            journal.bind(AFUNIXSocketAddress.of(socket));

            assertThat(append(socket, new KeyValuePair("id", "7"), new KeyValuePair("peer_uid", 0L)))
                    .isEmpty();

            ByteBuffer received = ByteBuffer.allocate(4096);
            journal.receive(received);
            assertThat(fields(received.flip()))
                    .containsExactlyInAnyOrderEntriesOf(Map.of(
                            "PRIORITY", "4",
                            "SYSLOG_IDENTIFIER", "pve-ocid",
                            "MESSAGE", "job\\x0aended",
                            "PVE_OCI_ID", "7",
                            "PVE_OCI_PEER_UID", "0"));
        }
    }

    @Test
    void writes_other_events_to_standard_error() {
        assertThat(append(directory.resolve("unused"))).isEqualTo("<4>job\\x0aended\n");
    }

    @Test
    void writes_to_standard_error_when_journald_does_not_listen() {
        assertThat(append(directory.resolve("missing"), new KeyValuePair("id", "7")))
                .isEqualTo("<4>job\\x0aended\n");
    }

    @Test
    void knows_whether_journald_reads_standard_error() throws IOException {
        Path file = Files.createFile(directory.resolve("file"));
        String stream = Files.getAttribute(file, "unix:dev") + ":" + Files.getAttribute(file, "unix:ino");

        assertThat(JournalAppender.socketFor(stream, file)).isEqualTo(Path.of("/run/systemd/journal/socket"));
        assertThat(JournalAppender.socketFor("1:2", file)).isNull();
        assertThat(JournalAppender.socketFor(null, file)).isNull();
    }
}
