package pve.oci.daemon;

import java.io.IOException;
import java.io.InputStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Passes a worker's standard error on to the log, line by line, up to a limit. */
final class WorkerLog implements Runnable {
    private static final int MAXIMUM_LINE = 1000;
    private static final int MAXIMUM_LINES = 200;

    /** JDK 17 prints this if there is no /proc. The worker has none on purpose, so it is not logged. */
    private static final String NO_PROC = "Can't detect primordial thread stack location - find_vma failed";

    private static final Logger LOG = LoggerFactory.getLogger(WorkerLog.class);

    private final InputStream stream;
    private final long pid;
    private final StringBuilder line = new StringBuilder();
    private int lines;
    private int bytes;
    private volatile String lastLine = "";

    WorkerLog(InputStream stream, long pid) {
        this.stream = stream;
        this.pid = pid;
    }

    /** The last line: if the launcher fails, it holds the reason. */
    String lastLine() {
        return lastLine;
    }

    @Override
    public void run() {
        byte[] buffer = new byte[4096];
        try (stream) {
            for (int count = stream.read(buffer); count >= 0 && !isTooMuch(); count = stream.read(buffer)) {
                bytes += count;
                for (int i = 0; i < count; i++) {
                    take((char) (buffer[i] & 0xff));
                }
            }
        } catch (IOException e) {
            // the process is gone
        }
        if (line.length() > 0) {
            endLine();
        }
        if (isTooMuch()) {
            LOG.warn("worker writes too much, the rest is dropped pid={}", pid);
        }
    }

    /** Then the pipe is closed: reading on, only to drop what comes, would keep a processor busy. */
    private boolean isTooMuch() {
        return lines > MAXIMUM_LINES || bytes > MAXIMUM_LINES * MAXIMUM_LINE;
    }

    private void take(char c) {
        if (c == '\n') {
            endLine();
        } else if (line.length() < MAXIMUM_LINE) {
            line.append(
                    c < ' ' || c > '~' ? "\\x" + Integer.toHexString(0x100 | c).substring(1) : String.valueOf(c));
        }
    }

    private void endLine() {
        String text = line.toString().replaceFirst("^<[0-7]>", "");
        line.setLength(0);
        if (text.endsWith(NO_PROC)) {
            return;
        }
        lastLine = text;
        if (++lines <= MAXIMUM_LINES) {
            LOG.warn("worker wrote: {} pid={}", text, pid);
        }
    }
}
