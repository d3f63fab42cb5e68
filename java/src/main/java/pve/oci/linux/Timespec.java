package pve.oci.linux;

/**
 * Memory of a {@code struct timespec[2]}: last access and last modification, both the same here. One thread owns it.
 */
public final class Timespec {
    private final NativeBuffer memory = NativeBuffer.allocate(32);

    /** Sets both times and returns the address, for futimens(3) and utimensat(2). */
    public long set(long seconds, int nanos) {
        memory.buffer().putLong(0, seconds).putLong(8, nanos);
        memory.buffer().putLong(16, seconds).putLong(24, nanos);
        return memory.address();
    }
}
