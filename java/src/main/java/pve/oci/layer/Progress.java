package pve.oci.layer;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** How far a job has come. Each thread at work writes its own counters; the one that reports reads them. */
public final class Progress {
    /** The interface's Progress.phase. */
    public enum JobPhase {
        PARSING("parsing"),
        VERIFYING("verifying"),
        EXTRACTING("extracting"),
        FINISHING("finishing");

        private final String text;

        JobPhase(String text) {
            this.text = text;
        }
    }

    private volatile JobPhase phase = JobPhase.PARSING;
    private volatile int layerIndex = -1;
    private volatile int layersCount = -1;
    private volatile long bytesTotal;
    private volatile long entriesShown;
    private volatile long bytesShown;
    private final AtomicLong bytesRead = new AtomicLong();
    private final AtomicLong entriesWritten = new AtomicLong();
    private final AtomicLong bytesWritten = new AtomicLong();

    /**
     * The archive is open and the image is chosen.
     *
     * @param layers how many layers there are
     * @param bytes sum of the layers' sizes as stored
     */
    public void begin(JobPhase next, int layers, long bytes) {
        layersCount = layers;
        bytesTotal = bytes;
        phase = next;
    }

    /** The extraction begins again, and so do the counters. The progress that is shown never goes back. */
    public void restart(long bytes) {
        entriesShown = entriesWritten.getAndSet(0);
        bytesShown = bytesWritten.getAndSet(0);
        bytesTotal = bytesRead.get() + bytes;
    }

    /** Whether the archive is being opened. Nothing is counted then; other limits bound how long it takes. */
    public boolean isParsing() {
        return phase == JobPhase.PARSING;
    }

    public void phase(JobPhase next) {
        phase = next;
    }

    /** This layer is read or applied from now on; the first one has the index 0. */
    public void layer(int index) {
        layerIndex = index;
    }

    /** So many bytes of layers, as stored, were read. */
    public void read(long bytes) {
        bytesRead.addAndGet(bytes);
    }

    public void wroteEntry() {
        entriesWritten.lazySet(entriesWritten.get() + 1);
    }

    /** So many bytes were written to the root file system. */
    public void wroteBytes(long bytes) {
        bytesWritten.lazySet(bytesWritten.get() + bytes);
    }

    public long bytesRead() {
        return bytesRead.get();
    }

    public long entriesWritten() {
        return entriesWritten.get();
    }

    public long bytesWritten() {
        return bytesWritten.get();
    }

    /** The interface's type Progress. */
    public Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("phase", phase.text);
        if (layerIndex >= 0) {
            json.put("layerIndex", layerIndex);
        }
        if (layersCount >= 0) {
            json.put("layersCount", layersCount);
        }
        json.put("bytesRead", bytesRead.get());
        json.put("bytesTotal", bytesTotal);
        json.put("entriesWritten", Math.max(entriesShown, entriesWritten.get()));
        json.put("bytesWritten", Math.max(bytesShown, bytesWritten.get()));
        return json;
    }
}
