package pve.oci.linux;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A system call that failed. It has no stack trace and no path: whoever knows the path turns it into an exception of
 * its own.
 */
public final class ErrnoException extends IOException {
    private static final long serialVersionUID = 1;

    private final int errno;
    private final String call;

    /** @param call the system call's name, as its manual page spells it */
    public ErrnoException(String call, int errno) {
        super(call + ": " + Errno.describe(errno));
        this.call = call;
        this.errno = errno;
    }

    /** The system call's name, as its manual page spells it. */
    public String call() {
        return call;
    }

    /** Call and number as the errors of io.pve.oci have them. */
    public Map<String, Object> parameters() {
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("operation", call);
        parameters.put("errno", errno);
        parameters.put("errnoName", Errno.name(errno));
        return parameters;
    }

    public int errno() {
        return errno;
    }

    @Override
    public synchronized Throwable fillInStackTrace() {
        return this;
    }
}
