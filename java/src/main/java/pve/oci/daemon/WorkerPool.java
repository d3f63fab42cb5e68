package pve.oci.daemon;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import pve.oci.service.IdMaps;
import pve.oci.service.Worker;
import pve.oci.service.WorkerSource;

/**
 * Keeps spare workers for the ID maps in use: one for each pair of maps, more while one job follows the other, none
 * when nothing has been asked for in a while. Every worker serves one image only, so that no image can affect another.
 */
final class WorkerPool implements WorkerSource, AutoCloseable {
    /** What the settings say about spares. */
    record Limits(int maximumSpares, long idleMillis) {}

    /**
     * Jobs that begin within this time of each other are a burst. In a burst the next worker starts beside the job, and
     * is not warmed up, which would take processor time from the job.
     */
    private static final long BURST_NANOS = TimeUnit.MILLISECONDS.toNanos(300);

    /** After that time without a job one spare is enough. */
    private static final long CALM_NANOS = TimeUnit.SECONDS.toNanos(10);

    /** With more spares, the processors would spend more time on starting workers than on jobs. */
    private static final int MAXIMUM_OF_A_BURST =
            Math.min(3, Runtime.getRuntime().availableProcessors());

    /** The spares for one pair of maps, and how much they are in demand. */
    private static final class Stock {
        final Deque<Spare> spares = new ArrayDeque<>();
        volatile long usedNanos = System.nanoTime();
        volatile boolean hasBeenUsed;

        /** Whether the last job came soon after the one before. */
        boolean isInBurst;

        int wanted = 1;

        /** A job has come. */
        void use() {
            isInBurst = hasBeenUsed && mayBeWantedSoon();
            usedNanos = System.nanoTime();
            hasBeenUsed = true;
        }

        /** Jobs have just come, or the daemon has just been started, most probably for a client. */
        boolean mayBeWantedSoon() {
            return System.nanoTime() - usedNanos < BURST_NANOS;
        }
    }

    private final WorkerStarter starter;
    private final @Nullable WarmUp warmUp;

    /** Each spare has a thread. */
    private final Executor threads;

    private final Map<IdMaps, Stock> stocks = new HashMap<>();
    private Limits limits;
    private boolean closed;

    /** @param warmUp null: spares are not warmed up */
    WorkerPool(WorkerStarter starter, @Nullable WarmUp warmUp, Limits limits) {
        this(starter, warmUp, limits, WorkerPool::startThread);
    }

    WorkerPool(WorkerStarter starter, @Nullable WarmUp warmUp, Limits limits, Executor threads) {
        this.starter = starter;
        this.warmUp = warmUp;
        this.threads = threads;
        this.limits = limits;
    }

    @Override
    public synchronized CompletableFuture<Worker> take(IdMaps maps) {
        Stock stock = stocks.computeIfAbsent(maps, x -> new Stock());
        stock.use();
        Spare spare = pick(stock);
        if (spare == null) {
            spare = new Spare(starter, null, maps, true, stock::mayBeWantedSoon);
            start(spare);
        }
        boolean isReady = spare.isWaiting();
        CompletableFuture<Worker> worker = spare.claim();
        if (stock.isInBurst) {
            stock.wanted = Math.min(stock.wanted + 1, MAXIMUM_OF_A_BURST);
            if (isReady) {
                // otherwise two would start at once, and this job would wait for both
                addSpare(maps, stock);
            }
        }
        return worker;
    }

    /** Picks a spare that waits, or else the one that was started first. */
    private static @Nullable Spare pick(Stock stock) {
        stock.spares.removeIf(spare -> {
            boolean isUsable = spare.isUsable();
            if (!isUsable) {
                spare.drop();
            }
            return !isUsable;
        });
        for (Spare spare : stock.spares) {
            if (spare.isWaiting()) {
                stock.spares.remove(spare);
                return spare;
            }
        }
        return stock.spares.poll();
    }

    synchronized void setLimits(Limits now) {
        limits = now;
        while (spareCount() > now.maximumSpares()) {
            dropLeastRecentlyUsed();
        }
    }

    synchronized void dropAll() {
        for (Stock stock : stocks.values()) {
            stock.spares.forEach(Spare::drop);
            stock.spares.clear();
        }
    }

    @Override
    public synchronized void jobEnded(IdMaps maps) {
        prepare(maps);
    }

    /** Starts a spare for these maps, if one more is wanted. */
    synchronized void prepare(IdMaps maps) {
        addSpare(maps, stocks.computeIfAbsent(maps, x -> new Stock()));
    }

    private void addSpare(IdMaps maps, Stock stock) {
        if (closed || stock.spares.size() >= stock.wanted || limits.maximumSpares() == 0) {
            return;
        }
        if (spareCount() >= limits.maximumSpares()) {
            if (!stock.spares.isEmpty()) {
                return;
            }
            dropLeastRecentlyUsed();
        }
        Spare spare = new Spare(starter, warmUp, maps, stock.isInBurst, stock::mayBeWantedSoon);
        stock.spares.add(spare);
        start(spare);
    }

    private void start(Spare spare) {
        try {
            threads.execute(spare);
        } catch (OutOfMemoryError e) {
            // no more threads can be started; whoever waits for this worker gets the error
            spare.fail(e);
        }
    }

    private static void startThread(Runnable spare) {
        Thread thread = new Thread(spare, "spare");
        thread.setDaemon(true);
        thread.start();
    }

    private void dropLeastRecentlyUsed() {
        Stock oldest = null;
        for (Stock stock : stocks.values()) {
            if (!stock.spares.isEmpty() && (oldest == null || stock.usedNanos - oldest.usedNanos < 0)) {
                oldest = stock;
            }
        }
        if (oldest != null) {
            oldest.spares.remove().drop();
        }
    }

    /** Ends the spares that are too many by now. */
    synchronized void dropUnused() {
        long now = System.nanoTime();
        stocks.values().removeIf(stock -> {
            long unused = now - stock.usedNanos;
            if (unused >= CALM_NANOS) {
                stock.wanted = 1;
            }
            int allowed = unused >= idleNanos() ? 0 : stock.wanted;
            while (stock.spares.size() > allowed) {
                stock.spares.removeLast().drop();
            }
            return allowed == 0;
        });
    }

    private long idleNanos() {
        return TimeUnit.MILLISECONDS.toNanos(limits.idleMillis());
    }

    /** When {@link #dropUnused} has something to do again; -1: as long as nobody takes a worker, never. */
    synchronized long millisUntilUnused() {
        long next = Long.MAX_VALUE;
        for (Stock stock : stocks.values()) {
            long unused = System.nanoTime() - stock.usedNanos;
            next = Math.min(next, (stock.wanted > 1 ? CALM_NANOS : idleNanos()) - unused);
        }
        return next == Long.MAX_VALUE ? -1 : Math.max(0, TimeUnit.NANOSECONDS.toMillis(next) + 1);
    }

    @Override
    public synchronized int spareCount() {
        return stocks.values().stream().mapToInt(stock -> stock.spares.size()).sum();
    }

    /** Kills all spares. Workers with a job end with it. */
    @Override
    public void close() {
        List<Spare> dropping = new ArrayList<>();
        synchronized (this) {
            closed = true;
            stocks.values().forEach(stock -> dropping.addAll(stock.spares));
            stocks.clear();
        }
        dropping.forEach(Spare::drop);
        starter.close();
    }
}
