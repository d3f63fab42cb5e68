package pve.oci.service;

import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import pve.oci.text.Text;

/** The one line that the log has of every job. */
final class JobLog {
    private static final Logger LOG = LoggerFactory.getLogger(JobLog.class);

    /** Anything else is a job that failed, and is found by {@code journalctl -p warning}. */
    private static final Set<String> EXPECTED = Set.of("ok", "Cancelled", "ClientGone", "ShuttingDown");

    private JobLog() {}

    static void write(Job job, String outcome, @Nullable String message, long startedNanos) {
        StringBuilder line = new StringBuilder("job ended");
        field(line, "id", job.id());
        field(line, "method", job.method());
        field(line, "outcome", outcome);
        field(line, "ms", (System.nanoTime() - startedNanos) / 1_000_000);
        field(line, "peer_uid", job.peer().uid());
        field(line, "peer_pid", job.peer().pid());
        Map<String, @Nullable Object> description = job.describe();
        field(line, "archive", description.get("archivePath"));
        field(line, "root", description.get("rootDirectory"));
        field(line, "entries", job.counter("entriesWritten"));
        field(line, "bytes", job.counter("bytesWritten"));
        field(line, "message", message);
        if (EXPECTED.contains(outcome)) {
            LOG.info("{}", line);
        } else {
            LOG.warn("{}", line);
        }
    }

    private static void field(StringBuilder line, String key, @Nullable Object value) {
        if (value instanceof String text) {
            String clean = Text.clean(text);
            boolean isPlain = clean.chars().allMatch(c -> c > ' ' && c != '"');
            line.append(' ').append(key).append('=').append(isPlain ? clean : '"' + clean.replace("\"", "'") + '"');
        } else if (value != null) {
            line.append(' ').append(key).append('=').append(value);
        }
    }
}
