package pve.oci.layer;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Threads;
import pve.oci.linux.Timespec;
import pve.oci.rootfs.EntryPath;
import pve.oci.rootfs.FileMetadata;
import pve.oci.text.Text;

/**
 * Writes small files after they were created. This is done by threads of its own; with too few cores for them, by
 * threads that would otherwise wait in the pipeline. The thread that applies entries creates the files, in the order of
 * the entries. Content, owner, mode and time are set later through the descriptor, so it does not matter what happens
 * to the name meanwhile. Work is handed over by the batch: waking a thread costs as much as writing a small file.
 */
final class DeferredWrites implements SlotSource.Helper, AutoCloseable {
    private static final int BATCH_SIZE = 64;
    private static final int BATCHES = 8;
    private static final int MAXIMUM_THREADS = 4;

    private final BlockingQueue<Batch> free = new ArrayBlockingQueue<>(BATCHES);
    private final BlockingQueue<Batch> full = new ArrayBlockingQueue<>(BATCHES + MAXIMUM_THREADS);
    private final List<Thread> threads = new ArrayList<>();
    private @Nullable Batch filling;
    private @Nullable SlotSource slots;

    /** The first failure. After it no file is written any more: descriptors are closed and slots released. */
    private volatile @Nullable Failure failure;

    /** The first mistake in the program, or the first time that there was no memory. */
    private volatile @Nullable Throwable breakdown;

    /** A file that could not be written. */
    record Failure(ErrnoException reason, Layer layer, String entryPath) {}

    /** @param count of threads; 1 means none, because a single one would only take turns with those of the pipeline */
    DeferredWrites(int count) {
        for (int i = 0; i < BATCHES; i++) {
            free.add(new Batch(BATCH_SIZE));
        }
        for (int i = 0; count > 1 && i < Math.min(MAXIMUM_THREADS, count); i++) {
            Thread thread = new Thread(this::work, "file-writer");
            thread.setDaemon(true);
            thread.start();
            threads.add(thread);
        }
    }

    /** From now on the content of files lies in slots of this source. */
    void begin(SlotSource source) {
        if (slots != source) {
            source.use(this);
            slots = source;
        }
    }

    @Override
    public boolean hasThreads() {
        return !threads.isEmpty();
    }

    /** What went wrong so far; null when nothing did. */
    @Nullable
    Failure failure() {
        Throwable reason = breakdown;
        if (reason instanceof OutOfMemoryError e) {
            throw e;
        }
        if (reason != null) {
            throw new IllegalStateException("files cannot be written", reason);
        }
        return failure;
    }

    /** Returns the description of the next file, to be filled in before {@link #add}. */
    DeferredFile file() throws IOException {
        Batch batch = filling;
        if (batch == null) {
            batch = take();
            filling = batch;
        }
        return batch.files[batch.count];
    }

    /**
     * Takes over the descriptor of the file that was described. All of its content lies in the current slot.
     *
     * @param address of the content, with its size; ignored when that is 0
     */
    void add(Fd fd, SlotSource source, long address, int size) throws IOException {
        DeferredFile file = file();
        file.fd = fd;
        file.slot = size > 0 ? source.retain() : null;
        file.address = address;
        file.size = size;
        Batch batch = filling;
        if (batch != null && ++batch.count == BATCH_SIZE) {
            flush();
        }
    }

    /**
     * Hands over the files collected so far. To be called before waiting for the pipeline, which may need their slots.
     */
    @Override
    public void flush() {
        Batch batch = filling;
        if (batch != null) {
            filling = null;
            full.add(batch);
            if (slots != null) {
                slots.wakeHelpers();
            }
        }
    }

    /** Waits until everything is written. */
    void drain() throws IOException {
        flush();
        List<Batch> all = new ArrayList<>();
        try {
            while (all.size() < BATCHES) {
                all.add(take());
            }
        } finally {
            free.addAll(all);
        }
    }

    private Batch take() throws IOException {
        Batch batch = free.poll();
        while (batch == null && tryStep()) {
            batch = free.poll();
        }
        try {
            return batch == null ? free.take() : batch;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
    }

    /** Writes the next batch. */
    @Override
    public boolean tryStep() {
        Batch batch = full.poll();
        if (batch == null) {
            return false;
        }
        finish(batch);
        return true;
    }

    private void work() {
        try {
            for (Batch batch = full.take(); batch.count > 0; batch = full.take()) {
                finish(batch);
            }
        } catch (InterruptedException e) {
            // only the end of the JVM interrupts these threads
        }
    }

    private void finish(Batch batch) {
        try {
            for (int i = 0; i < batch.count; i++) {
                finish(batch.files[i], batch.times);
            }
        } finally {
            batch.count = 0;
            free.add(batch);
        }
    }

    private void finish(DeferredFile file, Timespec times) {
        Fd fd = file.fd;
        file.fd = null;
        if (fd == null) {
            return;
        }
        try (fd) {
            if (failure == null && breakdown == null) {
                file.write(fd, times);
            }
        } catch (ErrnoException e) {
            fail(file.failure(e));
        } catch (RuntimeException | Error e) {
            // to be reported by the thread that applies, not by the one that happens to help
            breakDown(e);
        } finally {
            file.release();
        }
    }

    /** Keeps the first failure: other threads may be in the middle of a file, which can fail too. */
    private synchronized void fail(Failure reason) {
        if (failure == null) {
            failure = reason;
        }
    }

    private synchronized void breakDown(Throwable reason) {
        if (breakdown == null) {
            breakdown = reason;
        }
    }

    /** Writes what is left and ends the threads. Nothing is written after this returns. */
    @Override
    public void close() {
        flush();
        threads.forEach(thread -> full.add(new Batch(0)));
        Threads.joinAll(threads);
        boolean isInterrupted = false;
        int back = 0;
        while (back < BATCHES) {
            try {
                while (threads.isEmpty() && tryStep()) {
                    // the last batches, if there are no threads to write them
                }
                free.take();
                back++;
            } catch (InterruptedException e) {
                isInterrupted = true;
            }
        }
        if (isInterrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** A file whose content is still to be written; reused. */
    static final class DeferredFile {
        private @Nullable Layer layer;
        private byte[] path = new byte[256];
        private int pathLength;
        private @Nullable FileMetadata metadata;
        private boolean inheritsGroup;
        private @Nullable Fd fd;
        private @Nullable Slot slot;
        private long address;
        private int size;

        void set(Layer ofLayer, EntryPath entry, FileMetadata fileMetadata, boolean hasGroupOfDirectory) {
            layer = ofLayer;
            if (path.length < entry.length()) {
                path = new byte[entry.length()];
            }
            System.arraycopy(entry.bytes(), 0, path, 0, entry.length());
            pathLength = entry.length();
            metadata = fileMetadata;
            inheritsGroup = hasGroupOfDirectory;
        }

        private void write(Fd file, Timespec times) throws ErrnoException {
            long from = address;
            long end = address + size;
            while (from < end) {
                from += Libc.write(file.number(), from, end - from);
            }
            if (metadata != null) {
                metadata.apply(file, times, inheritsGroup);
            }
        }

        private Failure failure(ErrnoException reason) {
            if (layer == null) {
                throw new IllegalStateException("nothing was set");
            }
            return new Failure(reason, layer, Text.name(path, pathLength));
        }

        private void release() {
            Slot read = slot;
            slot = null;
            if (read != null) {
                read.release();
            }
        }
    }

    /** Files that are handed over together; reused. An empty one ends a thread. */
    private static final class Batch {
        private final DeferredFile[] files;
        private final Timespec times = new Timespec();
        private int count;

        Batch(int capacity) {
            files = new DeferredFile[capacity];
            Arrays.setAll(files, i -> new DeferredFile());
        }
    }
}
