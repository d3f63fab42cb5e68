package pve.oci.service;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;
import org.slf4j.spi.LoggingEventBuilder;
import pve.oci.text.Text;

/**
 * Writes one log line for each job, made of {@code key=value} words. The words are fields of the event as well, with
 * the same keys.
 */
final class JobLog {
    private static final Logger LOG = LoggerFactory.getLogger(JobLog.class);

    /** Outcomes that are no failure. All others are logged as warnings, so {@code journalctl -p warning} finds them. */
    private static final Set<String> EXPECTED = Set.of("ok", "Cancelled", "ClientGone", "ShuttingDown");

    private JobLog() {}

    static void write(Job job, String outcome, @Nullable String message, long startedNanos) {
        Map<String, @Nullable Object> fields = new LinkedHashMap<>();
        fields.put("id", job.id());
        fields.put("method", job.method());
        fields.put("outcome", outcome);
        fields.put("ms", (System.nanoTime() - startedNanos) / 1_000_000);
        fields.put("peer_uid", job.peer().uid());
        fields.put("peer_pid", job.peer().pid());
        Map<String, @Nullable Object> description = job.describe();
        fields.put("archive", description.get("archivePath"));
        fields.put("root", description.get("rootDirectory"));
        fields.put("entries", job.counter("entriesWritten"));
        fields.put("bytes", job.counter("bytesWritten"));
        fields.put("message", message);

        StringBuilder line = new StringBuilder("job ended");
        LoggingEventBuilder event = LOG.atLevel(EXPECTED.contains(outcome) ? Level.INFO : Level.WARN);
        for (Map.Entry<String, @Nullable Object> field : fields.entrySet()) {
            Object value = field.getValue();
            if (value != null) {
                Object shown = value instanceof String text ? Text.clean(text) : value;
                line.append(' ').append(field.getKey()).append('=').append(word(shown));
                event = event.addKeyValue(field.getKey(), shown);
            }
        }
        event.log("{}", line);
    }

    private static Object word(Object value) {
        boolean isPlain = !(value instanceof String text) || text.chars().allMatch(c -> c > ' ' && c != '"');
        return isPlain ? value : '"' + value.toString().replace("\"", "'") + '"';
    }
}
