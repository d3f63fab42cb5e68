package pve.oci.layer;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.archive.Layer;
import pve.oci.linux.Cpus;
import pve.oci.linux.OpenSsl;
import pve.oci.linux.Threads;
import pve.oci.oci.Digest;
import pve.oci.oci.ImageError;
import pve.oci.oci.ImageException;
import pve.oci.tar.TarSource;

/**
 * Turns layers into streams of uncompressed bytes and verifies them on the way. The stages pass on slots of native
 * memory. The reader, a thread, reads and decompresses the blobs, one layer after the other without a pause. One hasher
 * computes the digests of the blobs, another those of their content. The caller applies the content; this object is its
 * {@link TarSource}. With one or two cores the hashers have no threads: the other two compute digests, and write files,
 * when they would otherwise wait for each other. {@link #cores} says when this is not so. With four cores a second
 * reader works on the layer after the one that is being applied. Nothing is read twice, and the memory does not grow
 * with the image.
 */
public final class LayerPipeline implements TarSource, AutoCloseable {
    private static final ByteBuffer NOTHING = ByteBuffer.allocateDirect(0);

    /** Slots for a single reader. With more of them it would not be faster. */
    private static final int SLOTS_OF_ONE_READER = 16;

    private static final int MINIMUM_SLOTS = 4;

    private static final long SMALL_IMAGE = 2 << 20;
    private static final boolean HAS_SHA256_INSTRUCTIONS = OpenSsl.hasSha256Instructions();

    /** A reader, two hashers and their slots. With two lanes, each takes every second layer. */
    private static final class Lane {
        final SlotQueues slots;
        final LayerHasher blobs;
        final LayerHasher contents;

        Lane(int contentSlots, int ready) {
            slots = new SlotQueues(contentSlots, ready);
            blobs = new LayerHasher(slots.blobs());
            contents = new LayerHasher(slots.contents());
        }
    }

    /** Gives the memory of slots that nobody uses back to the kernel: for a process that will wait. */
    public static void giveMemoryBack() {
        Slot.BLOB_MEMORY.giveBack();
        Slot.CONTENT_MEMORY.giveBack();
    }

    private final List<Lane> lanes = new ArrayList<>();
    private final SlotSource slotSource = new CurrentSlot();
    private final List<Layer> layers;
    private final List<Thread> threads = new ArrayList<>();

    /** With two cores the reader and the caller do all the work, so they should not share one core. */
    private final boolean isOnTwoCores;

    /** The error that ended the first of the threads: a mistake in the program, or no memory. */
    private volatile @Nullable Throwable breakdown;

    /** How many layers have been begun. */
    private int begun;

    /** The slots of the layer at work. */
    private SlotQueues slots;

    private @Nullable Slot current;
    private boolean isAtEnd = true;
    private SlotSource.@Nullable Helper writes;

    /**
     * @param isStream the archive can only be read from front to end, by one reader
     * @param cores see {@link #cores}
     */
    public LayerPipeline(List<Layer> layers, LayerLimits limits, Progress progress, boolean isStream, int cores) {
        this.layers = layers;
        int readers = isStream || cores < 4 || layers.size() < 2 ? 1 : 2;
        boolean hashesOnThreadsOfItsOwn = cores > 2;
        isOnTwoCores = cores == 2;
        // a process that has had a layer waits for its job, which then finds memory; others make what a small image
        // needs
        int ready = Slot.CONTENT_MEMORY.isEmpty() ? 0 : SLOTS_OF_ONE_READER;
        int contentSlots = Math.max(MINIMUM_SLOTS, (int) (limits.readAhead() / readers / Slot.CONTENT_SIZE));
        for (int i = 0; i < readers; i++) {
            lanes.add(new Lane(
                    readers == 1 ? Math.min(SLOTS_OF_ONE_READER, contentSlots) : contentSlots, i == 0 ? ready : 0));
        }
        Throttle throttle = new Throttle(limits.bandwidthLimit());
        for (int i = 0; i < readers; i++) {
            Lane lane = lanes.get(i);
            if (hashesOnThreadsOfItsOwn) {
                start("blob-hasher", lane, lane.blobs::run);
                start("content-hasher", lane, lane.contents::run);
            } else {
                lane.slots.shareHashing(lane.blobs, lane.contents);
            }
            List<Layer> some = everyNth(i, readers);
            start("layer-reader", lane, new LayerReader(some, limits, throttle, progress, lane.slots)::run);
        }
        slots = lanes.get(0).slots;
    }

    /**
     * How many cores to have threads for. Without instructions for SHA-256 hashing takes longer than all other work,
     * and goes on without a pause only on threads of its own: two cores then have the threads that three have. A small
     * image is done before such threads have started.
     *
     * @param size of all layers as stored, in bytes
     */
    public static int cores(long size) {
        return cores(Runtime.getRuntime().availableProcessors(), HAS_SHA256_INSTRUCTIONS, size);
    }

    static int cores(int processors, boolean hasSha256Instructions, long size) {
        return processors == 2 && !hasSha256Instructions && size >= SMALL_IMAGE ? 3 : processors;
    }

    private List<Layer> everyNth(int first, int step) {
        List<Layer> some = new ArrayList<>();
        for (int i = first; i < layers.size(); i += step) {
            some.add(layers.get(i));
        }
        return some;
    }

    private void start(String name, Lane lane, Work work) {
        Thread thread = new Thread(
                () -> {
                    try {
                        work.run();
                    } catch (InterruptedException e) {
                        // closed in the middle: nobody waits for more
                    } catch (RuntimeException | Error e) {
                        breakDown(e);
                        lane.slots.breakDown();
                    }
                },
                name);
        thread.setDaemon(true);
        thread.start();
        threads.add(thread);
    }

    private synchronized void breakDown(Throwable reason) {
        if (breakdown == null) {
            breakdown = reason;
        }
    }

    private interface Work {
        void run() throws InterruptedException;
    }

    /** What the writers of deferred files see of this pipeline. */
    SlotSource slots() {
        return slotSource;
    }

    private final class CurrentSlot implements SlotSource {
        @Override
        public void use(Helper helper) {
            writes = helper;
            if (!helper.hasThreads()) {
                lanes.forEach(lane -> lane.slots.shareWriting(helper));
            }
        }

        @Override
        public void wakeHelpers() {
            lanes.forEach(lane -> lane.slots.changed());
        }

        @Override
        public Slot retain() {
            Slot slot = current;
            if (slot == null) {
                throw new IllegalStateException("there is no current slot");
            }
            slot.retain();
            return slot;
        }
    }

    /** Goes on to the next layer, whose bytes this source then gives. Each layer has to be read to its end first. */
    public void beginLayer() {
        isAtEnd = false;
        slots = lanes.get(begun % lanes.size()).slots;
        begun++;
    }

    @Override
    public boolean advance() throws IOException {
        if (isAtEnd) {
            return false;
        }
        Slot slot = current;
        if (slot != null) {
            if (slot.isLast) {
                // the slot is kept until its digest has been compared
                isAtEnd = true;
                return false;
            }
            current = null;
            slot.release();
        }
        if (writes != null) {
            // files that wait to be written occupy slots, which are needed now
            writes.flush();
        }
        slot = take();
        if (slot.failure != null) {
            current = slot;
            throw slot.failure;
        }
        slot.memory.buffer().position(0).limit(slot.length);
        current = slot;
        return true;
    }

    private Slot take() throws IOException {
        Slot slot;
        try {
            slot = slots.takeToApply();
        } catch (InterruptedException e) {
            checkThreads();
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
        checkThreads();
        int reading = slots.filledOn();
        if (isOnTwoCores && reading == Cpus.current()) {
            Cpus.leave(reading);
        }
        return slot;
    }

    @Override
    public ByteBuffer buffer() {
        return current == null ? NOTHING : current.memory.buffer();
    }

    /** Address of the current buffer's first byte. */
    public long address() {
        return current == null ? 0 : current.memory.address();
    }

    /** Reads the layer to its end without applying it. */
    public void skip() throws IOException {
        while (advance()) {
            // only the hashes matter
        }
    }

    /** To be called at the end of a layer: compares its blob with the digest, its content with the diff ID. */
    public void verifyContent(Layer layer) throws IOException {
        Slot last = current;
        if (last == null || !last.isLast) {
            throw new IllegalStateException("the layer was not read to its end");
        }
        if (last.failure != null) {
            throw last.failure;
        }
        Slot blobEnd = last.blobEnd;
        if (blobEnd == null) {
            throw new IllegalStateException("the blob was not read to its end");
        }
        Digest blobDigest = awaitDigest(blobEnd);
        Digest actual = last.isStored ? blobDigest : awaitDigest(last);
        blobEnd.release();
        current = null;
        last.release();
        layer.verifyBlob(blobDigest);
        if (!actual.equals(layer.diffId())) {
            throw ImageException.of(ImageError.DIGEST_MISMATCH)
                    .with("blobDigest", layer.descriptor().digest().toString())
                    .with("actualDigest", actual.toString())
                    .with("checked", "diffId")
                    .message(layer + ": uncompressed content has the digest " + actual
                            + ", which does not match the config's diff_id " + layer.diffId() + inOtherOrder(actual));
        }
    }

    /** Some tools write diff_ids from the last layer to the first; config.md wants them from first to last. */
    private String inOtherOrder(Digest actual) {
        for (Layer other : layers) {
            if (other.diffId().equals(actual)) {
                return "; it is that of layer " + (other.index() + 1)
                        + ": the config has the same digests in another order";
            }
        }
        return "";
    }

    private void checkThreads() {
        Throwable reason = breakdown;
        if (reason instanceof OutOfMemoryError e) {
            throw e;
        }
        if (reason != null) {
            throw new IllegalStateException("a thread of the pipeline has ended", reason);
        }
    }

    private Digest awaitDigest(Slot last) throws IOException {
        try {
            Digest digest = slots.awaitDigest(last);
            checkThreads();
            return digest;
        } catch (InterruptedException e) {
            checkThreads();
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
    }

    /**
     * Stops the threads; what they hold is closed when this returns. All slots must have been released, because their
     * memory is used again.
     */
    @Override
    public void close() {
        threads.forEach(Thread::interrupt);
        Threads.joinAll(threads);
        for (Lane lane : lanes) {
            lane.blobs.close();
            lane.contents.close();
            lane.slots.discard();
        }
    }
}
