package pve.oci.mtree;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/** The batches that were listed and not yet visited: a few, so that memory does not depend on the tree. */
final class BatchQueue {
    private static final int CAPACITY = 4;

    private final Deque<EntryBatch> batches = new ArrayDeque<>();
    private boolean isEnded;
    private boolean isClosed;
    private @Nullable Throwable failure;

    /**
     * Hands a batch over, with its descriptors. Waits while there are enough of them.
     *
     * @return false when nobody wants more; the batch was closed
     */
    synchronized boolean put(EntryBatch batch) throws InterruptedException {
        while (!isClosed && batches.size() >= CAPACITY) {
            wait();
        }
        if (isClosed) {
            batch.close();
            return false;
        }
        batches.add(batch);
        notifyAll();
        return true;
    }

    /**
     * Says that there are no more batches.
     *
     * @param reason why, if it is not that everything was listed
     */
    synchronized void end(@Nullable Throwable reason) {
        failure = reason;
        isEnded = true;
        notifyAll();
    }

    /** The next batch, or null after the last. Throws what the listing thread has thrown after that batch. */
    synchronized @Nullable EntryBatch take() throws IOException {
        try {
            while (batches.isEmpty() && !isEnded) {
                wait();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
        if (!batches.isEmpty()) {
            notifyAll();
            return batches.remove();
        }
        if (failure instanceof IOException e) {
            throw e;
        }
        if (failure instanceof RuntimeException e) {
            throw e;
        }
        if (failure instanceof Error e) {
            throw e;
        }
        return null;
    }

    /** Wants no more, and closes what is left. */
    synchronized void close() {
        isClosed = true;
        batches.forEach(EntryBatch::close);
        batches.clear();
        notifyAll();
    }
}
