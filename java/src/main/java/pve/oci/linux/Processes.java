package pve.oci.linux;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import org.jspecify.annotations.Nullable;

/** System calls on processes, written like those of {@link Libc}. */
public final class Processes {
    public static final int SIGKILL = 9;
    public static final int SIGCONT = 18;
    public static final int SIGSTOP = 19;

    // linux/unistd.h: from 424 on every architecture has the same numbers
    private static final long SYS_PIDFD_SEND_SIGNAL = 424;
    private static final long SYS_PIDFD_OPEN = 434;

    private Processes() {}

    /** {@code int pidfd_open(pid_t pid, unsigned int flags)}; null when there is no such process. */
    public static @Nullable Fd pidfdOpen(long pid) {
        try {
            return new Fd((int) Libc.syscall("pidfd_open", SYS_PIDFD_OPEN, pid, 0, 0, 0, 0));
        } catch (ErrnoException e) {
            return null;
        }
    }

    /** {@code int pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned int flags)} */
    public static void pidfdSendSignal(Fd pidfd, int signal) throws ErrnoException {
        Libc.syscall("pidfd_send_signal", SYS_PIDFD_SEND_SIGNAL, pidfd.number(), signal, 0, 0, 0);
    }

    /** {@code int setpriority(int which, id_t who, int prio)} with PRIO_PROCESS; its failure only costs politeness. */
    public static void setPriority(long pid, int nice) {
        ProcessFunctions.setpriority(0, (int) pid, nice);
    }

    /** The C functions themselves, bound by name. */
    private static final class ProcessFunctions {
        static {
            Native.register(ProcessFunctions.class, NativeLibrary.getProcess());
        }

        private ProcessFunctions() {}

        static native int setpriority(int which, int who, int nice);
    }
}
