package pve.oci.mtree;

import java.util.ArrayList;
import java.util.List;
import pve.oci.linux.Fd;

/** Entries on their way from the thread that lists them to the one that visits them, in order. */
final class EntryBatch {
    private static final int MAXIMUM_ENTRIES = 256;

    /** Bytes of paths: a path may be as long as 4096 of them. */
    private static final int MAXIMUM_SIZE = 1 << 16;

    /** So many descriptors are open for each batch. */
    private static final int MAXIMUM_DIRECTORIES = 8;

    /**
     * An entry that was listed.
     *
     * @param directory the directory that it is in, open
     * @param entry without its link and its attributes
     */
    record Item(Fd directory, TreeEntry entry, boolean isMountPoint) {}

    private final List<Item> items = new ArrayList<>();
    private final List<Fd> finished = new ArrayList<>();
    private int size;

    void add(Item item) {
        items.add(item);
        size += item.entry().path().length;
    }

    /** Takes over a directory all of whose entries are in this batch and those before it. */
    void addFinished(Fd directory) {
        finished.add(directory);
    }

    boolean isFull() {
        return items.size() >= MAXIMUM_ENTRIES || size >= MAXIMUM_SIZE || finished.size() >= MAXIMUM_DIRECTORIES;
    }

    List<Item> items() {
        return items;
    }

    /** Closes the directories that are finished. */
    void close() {
        finished.forEach(Fd::close);
    }
}
