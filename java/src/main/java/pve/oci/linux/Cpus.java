package pve.oci.linux;

import com.sun.jna.Native;
import java.lang.ref.Reference;

/** Which CPU a thread runs on: sched_getcpu(3), sched_setaffinity(2). */
public final class Cpus {
    /** CPU_SETSIZE bits. */
    private static final int MASK_SIZE = 1024 / 8;

    private Cpus() {}

    /** The CPU that the caller runs on at the moment. */
    public static int current() {
        return cpuOfThread();
    }

    /**
     * Moves the calling thread to another CPU than that one, where it may use another, and leaves the rest to the
     * scheduler again. The kernel does not look far when it places threads that wake each other: two of them may share
     * a CPU for milliseconds while another one is idle.
     */
    public static void leave(int cpu) {
        NativeBuffer mask = NativeBuffer.allocate(MASK_SIZE);
        int at = cpu / 8;
        try {
            getAffinity(mask.size(), mask.address());
            byte all = at < mask.size() ? mask.buffer().get(at) : 0;
            mask.buffer().put(at, (byte) (all & ~(1 << cpu % 8)));
            setAffinity(mask.size(), mask.address());
            mask.buffer().put(at, all);
            setAffinity(mask.size(), mask.address());
        } catch (ErrnoException e) {
            // this is the only CPU that may be used, or changing it is not allowed: the thread stays where it is
        } finally {
            Reference.reachabilityFence(mask);
        }
    }

    /** {@code int sched_getcpu(void)} */
    private static int cpuOfThread() {
        return LibcFunctions.sched_getcpu();
    }

    /** {@code int sched_getaffinity(0, size_t size, cpu_set_t *mask)}: of the calling thread. */
    static void getAffinity(long size, long mask) throws ErrnoException {
        check("sched_getaffinity", LibcFunctions.sched_getaffinity(0, size, mask));
    }

    /** {@code int sched_setaffinity(0, size_t size, const cpu_set_t *mask)}: of the calling thread. */
    static void setAffinity(long size, long mask) throws ErrnoException {
        check("sched_setaffinity", LibcFunctions.sched_setaffinity(0, size, mask));
    }

    private static void check(String call, int result) throws ErrnoException {
        if (result < 0) {
            throw new ErrnoException(call, Native.getLastError());
        }
    }
}
