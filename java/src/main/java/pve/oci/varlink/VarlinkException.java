package pve.oci.varlink;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A call that is answered with an error: its name, interface included, and its parameters. */
public final class VarlinkException extends Exception {
    private static final long serialVersionUID = 1;

    private final String error;
    private final transient Map<String, @Nullable Object> parameters;

    /** @param error with its interface's name */
    public VarlinkException(String error, Map<String, @Nullable Object> parameters) {
        super(error + " " + parameters);
        this.error = error;
        this.parameters = parameters;
    }

    public static VarlinkException interfaceNotFound(String name) {
        return new VarlinkException("org.varlink.service.InterfaceNotFound", Map.of("interface", name));
    }

    /** The interface has no such method; {@code method} has the interface's name before it. */
    public static VarlinkException methodNotFound(String method) {
        return new VarlinkException("org.varlink.service.MethodNotFound", Map.of("method", method));
    }

    /** The interface has the method, but not this server; {@code method} is as above. */
    public static VarlinkException methodNotImplemented(String method) {
        return new VarlinkException("org.varlink.service.MethodNotImplemented", Map.of("method", method));
    }

    /** A parameter is missing or not what it must be; {@code parameter} is its place, such as selector.variant. */
    public static VarlinkException invalidParameter(String parameter) {
        return new VarlinkException("org.varlink.service.InvalidParameter", Map.of("parameter", parameter));
    }

    public String error() {
        return error;
    }

    public Map<String, @Nullable Object> parameters() {
        return parameters;
    }

    /** Without a stack trace: this is an answer, not a fault of the program. */
    @Override
    public synchronized Throwable fillInStackTrace() {
        return this;
    }
}
