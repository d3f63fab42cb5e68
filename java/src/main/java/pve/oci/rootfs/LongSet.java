package pve.oci.rootfs;

import java.nio.LongBuffer;
import pve.oci.linux.NativeBuffer;

/**
 * A set of 64-bit hashes that only grows. It lies in native memory, at most 16 bytes for a member, so that a layer with
 * a million entries does not need heap for it.
 */
final class LongSet {
    private static final int INITIAL_CAPACITY = 1 << 10;

    private LongBuffer table = allocate(INITIAL_CAPACITY);
    private int size;
    private boolean hasZero;

    private static LongBuffer allocate(int capacity) {
        return NativeBuffer.allocate(capacity * Long.BYTES).buffer().asLongBuffer();
    }

    boolean contains(long value) {
        if (value == 0) {
            return hasZero;
        }
        return table.get(slot(table, value)) == value;
    }

    void add(long value) {
        if (value == 0) {
            hasZero = true;
            return;
        }
        int slot = slot(table, value);
        if (table.get(slot) == 0) {
            table.put(slot, value);
            if (++size > table.capacity() / 2) {
                grow();
            }
        }
    }

    boolean isEmpty() {
        return size == 0 && !hasZero;
    }

    /** Keeps the memory when it is small: most layers are. */
    void clear() {
        if (table.capacity() > INITIAL_CAPACITY) {
            table = allocate(INITIAL_CAPACITY);
        } else if (size > 0) {
            for (int i = 0; i < table.capacity(); i++) {
                table.put(i, 0);
            }
        }
        size = 0;
        hasZero = false;
    }

    private void grow() {
        LongBuffer larger = allocate(table.capacity() * 2);
        for (int i = 0; i < table.capacity(); i++) {
            long value = table.get(i);
            if (value != 0) {
                larger.put(slot(larger, value), value);
            }
        }
        table = larger;
    }

    /** Linear probing; the values are hashes already. */
    private static int slot(LongBuffer table, long value) {
        int mask = table.capacity() - 1;
        int slot = (int) (value ^ (value >>> 32)) & mask;
        while (table.get(slot) != 0 && table.get(slot) != value) {
            slot = (slot + 1) & mask;
        }
        return slot;
    }
}
