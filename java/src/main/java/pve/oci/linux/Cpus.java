package pve.oci.linux;

/** Which CPU a thread runs on: sched_getcpu(3), sched_setaffinity(2). */
public final class Cpus {
    /** CPU_SETSIZE bits. */
    private static final int MASK_SIZE = 1024 / 8;

    private Cpus() {}

    /** The CPU that the caller runs on at the moment. */
    public static int current() {
        return Libc.schedGetcpu();
    }

    /**
     * Moves the calling thread to another CPU than that one, where it may use another, and leaves the rest to the
     * scheduler again. The kernel does not look far when it places threads that wake each other: two of them may share a
     * CPU for milliseconds while another one is idle.
     */
    public static void leave(int cpu) {
        NativeBuffer mask = NativeBuffer.allocate(MASK_SIZE);
        int at = cpu / 8;
        try {
            Libc.schedGetaffinity(mask.size(), mask.address());
            byte all = at < mask.size() ? mask.buffer().get(at) : 0;
            mask.buffer().put(at, (byte) (all & ~(1 << cpu % 8)));
            Libc.schedSetaffinity(mask.size(), mask.address());
            mask.buffer().put(at, all);
            Libc.schedSetaffinity(mask.size(), mask.address());
        } catch (ErrnoException e) {
            // it is the only one that may be used, or nobody may choose: the thread stays where it is
        }
    }
}
