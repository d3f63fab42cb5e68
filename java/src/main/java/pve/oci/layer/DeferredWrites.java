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
import pve.oci.linux.NativeBuffer;
import pve.oci.text.Text;

/**
 * Writes small files once they are created: on threads of their own, or where there are no cores for these, by whoever
 * would otherwise wait in the pipeline. What a name refers to is decided in the order of
 * the entries, by the thread that applies them; content, owner, mode and time go through the descriptor, and whatever
 * happens to the name meanwhile does not matter. Work is handed over by the batch: waking a thread costs as much as
 * writing a small file.
 */
final class DeferredWrites implements SlotQueues.Chore, AutoCloseable {
    private static final int BATCH_SIZE = 64;
    private static final int BATCHES = 8;
    private static final int MAXIMUM_THREADS = 4;
    private static final int SET_ID_BITS = 06000;

    private final BlockingQueue<Batch> free = new ArrayBlockingQueue<>(BATCHES);
    private final BlockingQueue<Batch> full = new ArrayBlockingQueue<>(BATCHES + MAXIMUM_THREADS);
    private final List<Thread> threads = new ArrayList<>();
    private final NativeBuffer times = NativeBuffer.allocate(BATCHES * Batch.TIMES_SIZE);
    private @Nullable Batch filling;
    private @Nullable LayerPipeline pipeline;

    /** The first failure; the rest of the work is only cleaned up then. */
    private volatile @Nullable Failure failure;

    /** A mistake in the program, or no memory. */
    private volatile @Nullable Throwable breakdown;

    /** A file that could not be written. */
    record Failure(ErrnoException reason, Layer layer, String entryPath) {}

    DeferredWrites() {
        this(Math.min(MAXIMUM_THREADS, Runtime.getRuntime().availableProcessors() - 1));
    }

    /** @param count of threads; a single one would only take turns with those of the pipeline */
    DeferredWrites(int count) {
        for (int i = 0; i < BATCHES; i++) {
            free.add(new Batch(times, i * Batch.TIMES_SIZE));
        }
        for (int i = 0; count > 1 && i < count; i++) {
            Thread thread = new Thread(this::work, "file-writer");
            thread.setDaemon(true);
            thread.start();
            threads.add(thread);
        }
    }

    /** The files that come now have their content in slots of that pipeline. */
    void begin(LayerPipeline source) {
        if (pipeline != source) {
            source.use(this);
            pipeline = source;
        }
    }

    boolean hasThreads() {
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

    /**
     * Takes a new file's descriptor over. All of the content lies in the pipeline's current slot.
     *
     * @param address of the content, with its size; ignored when that is 0
     */
    void add(int fd, FileMetadata metadata, LayerPipeline source, long address, int size) throws IOException {
        Batch batch = filling;
        if (batch == null) {
            batch = take();
            filling = batch;
        }
        Slot slot = null;
        if (size > 0) {
            slot = source.retain();
        }
        batch.add(fd, metadata, slot, address, size);
        if (batch.count == BATCH_SIZE) {
            flush();
        }
    }

    /** Hands over what is collected: nothing of it may wait while the caller waits for the pipeline. */
    void flush() {
        Batch batch = filling;
        if (batch != null) {
            filling = null;
            full.add(batch);
            if (pipeline != null) {
                pipeline.wakeHelpers();
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
            // nobody interrupts these threads but the JVM's end
        }
    }

    private void finish(Batch batch) {
        try {
            for (int i = 0; i < batch.count; i++) {
                finish(batch, i);
            }
        } finally {
            batch.count = 0;
            free.add(batch);
        }
    }

    private void finish(Batch batch, int i) {
        try (Fd fd = new Fd(batch.descriptors[i])) {
            if (failure == null && breakdown == null) {
                write(fd.number(), batch, i);
            }
        } catch (ErrnoException e) {
            FileMetadata metadata = batch.metadata[i];
            failure = new Failure(e, metadata.layer(), metadata.entryPath());
        } catch (RuntimeException | Error e) {
            // the thread that applies has to hear of it, not the one that helps
            breakdown = e;
        } finally {
            Slot slot = batch.slots[i];
            if (slot != null) {
                slot.release();
                batch.slots[i] = null;
            }
        }
    }

    private static void write(int fd, Batch batch, int i) throws ErrnoException {
        FileMetadata metadata = batch.metadata[i];
        long address = batch.addresses[i];
        long end = address + batch.sizes[i];
        while (address < end) {
            address += Libc.write(fd, address, end - address);
        }
        // in this order: writing and chown(2) clear set-ID bits
        if (metadata.uid != 0 || metadata.gid != 0) {
            Libc.fchown(fd, metadata.uid, metadata.gid);
        }
        if ((metadata.mode & SET_ID_BITS) != 0) {
            Libc.fchmod(fd, metadata.mode);
        }
        Libc.futimens(fd, batch.setTimes(metadata.seconds, metadata.nanos));
    }

    /** Writes what is left, and ends the threads; after this nobody is at it. */
    @Override
    public void close() {
        flush();
        threads.forEach(thread -> full.add(new Batch(times, 0)));
        boolean isInterrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    isInterrupted = true;
                }
            }
        }
        int back = 0;
        while (back < BATCHES) {
            try {
                while (threads.isEmpty() && tryStep()) {
                    // nobody may help any more
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

    /** What a file gets once its content is written; reused. */
    static final class FileMetadata {
        private int mode;
        private int uid;
        private int gid;
        private long seconds;
        private int nanos;
        private @Nullable Layer layer;
        private byte[] path = new byte[256];
        private int pathLength;

        FileMetadata set(Layer ofLayer, byte[] bytes, int length) {
            layer = ofLayer;
            if (path.length < length) {
                path = new byte[length];
            }
            System.arraycopy(bytes, 0, path, 0, length);
            pathLength = length;
            return this;
        }

        FileMetadata set(int fileMode, int owner, int group, long mtimeSeconds, int mtimeNanos) {
            mode = fileMode;
            uid = owner;
            gid = group;
            seconds = mtimeSeconds;
            nanos = mtimeNanos;
            return this;
        }

        void copy(FileMetadata other) {
            set(other.mode, other.uid, other.gid, other.seconds, other.nanos);
            set(other.layer(), other.path, other.pathLength);
        }

        Layer layer() {
            if (layer == null) {
                throw new IllegalStateException("nothing was set");
            }
            return layer;
        }

        String entryPath() {
            return Text.name(path, pathLength);
        }
    }

    /** Files that are handed over together; reused. An empty one ends a thread. */
    private static final class Batch {
        /** struct timespec[2] */
        private static final int TIMES_SIZE = 32;

        private final int[] descriptors = new int[BATCH_SIZE];
        private final long[] addresses = new long[BATCH_SIZE];
        private final int[] sizes = new int[BATCH_SIZE];
        private final @Nullable Slot[] slots = new Slot[BATCH_SIZE];
        private final FileMetadata[] metadata = new FileMetadata[BATCH_SIZE];
        private final NativeBuffer memory;
        private final int offset;
        private int count;

        /** @param offset of the bytes of the memory that this batch may use */
        Batch(NativeBuffer memory, int offset) {
            this.memory = memory;
            this.offset = offset;
            Arrays.setAll(metadata, i -> new FileMetadata());
        }

        void add(int fd, FileMetadata file, @Nullable Slot slot, long address, int size) {
            descriptors[count] = fd;
            metadata[count].copy(file);
            slots[count] = slot;
            addresses[count] = address;
            sizes[count] = size;
            count++;
        }

        /** Last access and last modification. */
        long setTimes(long seconds, int nanos) {
            memory.buffer().putLong(offset, seconds).putLong(offset + 8, nanos);
            memory.buffer().putLong(offset + 16, seconds).putLong(offset + 24, nanos);
            return memory.address() + offset;
        }
    }
}
