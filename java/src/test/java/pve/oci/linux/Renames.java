package pve.oci.linux;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.concurrent.atomic.AtomicBoolean;

/** Somebody who renames without a pause: while that lasts, the kernel gives up paths with ".." in them (EAGAIN). */
public final class Renames implements AutoCloseable {
    private final AtomicBoolean goesOn = new AtomicBoolean(true);
    private final Thread thread = new Thread(this::rename);

    public Renames() {
        thread.start();
    }

    private void rename() {
        try {
            var from = Files.createTempDirectory("pve-oci-renamed");
            var to = from.resolveSibling(from.getFileName() + "-to");
            while (goesOn.get()) {
                Files.move(from, to);
                Files.move(to, from);
            }
            Files.delete(from);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** False if it has ended too early. */
    public boolean goOn() {
        return thread.isAlive();
    }

    @Override
    public void close() {
        goesOn.set(false);
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
