package pve.oci.daemon;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.service.WorkerSource;

/**
 * Keeps a spare worker for each pair of ID maps in use. Every worker serves one image: images are strangers to each
 * other.
 */
final class WorkerPool implements WorkerSource, AutoCloseable {
    /** Maps that nobody has used for that long have no spare any more. */
    private static final long UNUSED_NANOS = TimeUnit.MINUTES.toNanos(10);

    private final WorkerStarter starter;
    private final @Nullable WarmUp warmUp;
    private int maximumSpares;
    private final Map<IdMaps, Spare> spares = new HashMap<>();
    private final Map<IdMaps, Long> usedNanos = new HashMap<>();
    private boolean closed;

    /**
     * @param warmUp null: spares are not warmed
     * @param maximumSpares 0: every worker is started when it is needed
     */
    WorkerPool(WorkerStarter starter, @Nullable WarmUp warmUp, int maximumSpares) {
        this.starter = starter;
        this.warmUp = warmUp;
        this.maximumSpares = maximumSpares;
    }

    @Override
    public synchronized CompletableFuture<Worker> take(IdMaps maps) {
        usedNanos.put(maps, System.nanoTime());
        Spare spare = spares.remove(maps);
        if (spare != null && spare.isUsable()) {
            return spare.claim();
        }
        if (spare != null) {
            spare.drop();
        }
        Spare fresh = new Spare(starter, null, maps);
        CompletableFuture<Worker> worker = fresh.claim();
        start(fresh);
        return worker;
    }

    synchronized void setMaximumSpares(int maximum) {
        maximumSpares = maximum;
        while (spares.size() > maximum) {
            dropLeastRecentlyUsed();
        }
    }

    @Override
    public void jobEnded(IdMaps maps) {
        prepare(maps);
        dropUnused();
    }

    /** Starts a spare for these maps if there is none. */
    synchronized void prepare(IdMaps maps) {
        if (closed || maximumSpares == 0 || spares.containsKey(maps)) {
            return;
        }
        if (spares.size() >= maximumSpares) {
            dropLeastRecentlyUsed();
        }
        usedNanos.putIfAbsent(maps, System.nanoTime());
        Spare spare = new Spare(starter, warmUp, maps);
        spares.put(maps, spare);
        start(spare);
    }

    private static void start(Spare spare) {
        Thread thread = new Thread(spare, "spare");
        thread.setDaemon(true);
        thread.start();
    }

    private void dropLeastRecentlyUsed() {
        IdMaps oldest = null;
        for (IdMaps maps : spares.keySet()) {
            if (oldest == null || used(maps) - used(oldest) < 0) {
                oldest = maps;
            }
        }
        Spare spare = oldest == null ? null : spares.remove(oldest);
        if (spare != null) {
            spare.drop();
        }
    }

    private long used(IdMaps maps) {
        return usedNanos.getOrDefault(maps, 0L);
    }

    /** Of the maps that nobody has used for long; the default's stays. */
    synchronized void dropUnused() {
        long now = System.nanoTime();
        Iterator<Map.Entry<IdMaps, Spare>> entries = spares.entrySet().iterator();
        while (entries.hasNext()) {
            Map.Entry<IdMaps, Spare> entry = entries.next();
            if (!entry.getKey().equals(IdMaps.DEFAULT) && now - used(entry.getKey()) > UNUSED_NANOS) {
                entry.getValue().drop();
                usedNanos.remove(entry.getKey());
                entries.remove();
            }
        }
        usedNanos.keySet().removeIf(maps -> !spares.containsKey(maps) && now - used(maps) > UNUSED_NANOS);
    }

    @Override
    public synchronized int spareCount() {
        return spares.size();
    }

    /** Kills all spares; workers with a job end with it. */
    @Override
    public void close() {
        List<Spare> dropping;
        synchronized (this) {
            closed = true;
            dropping = new ArrayList<>(spares.values());
            spares.clear();
        }
        dropping.forEach(Spare::drop);
        starter.close();
    }
}
