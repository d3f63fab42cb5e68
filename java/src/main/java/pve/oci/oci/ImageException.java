package pve.oci.oci;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Why an image cannot be used: one of the errors of the interface io.pve.oci with its parameters, and the complete line
 * for people. Everything in it is clean text.
 */
public final class ImageException extends IOException {
    private static final long serialVersionUID = 1;

    private final String error;
    private final transient Map<String, @Nullable Object> parameters;

    private ImageException(
            String error, Map<String, @Nullable Object> parameters, String message, @Nullable Throwable cause) {
        super(message, cause);
        this.error = error;
        this.parameters = parameters;
    }

    /** Name of the error in the interface, without the interface's name. */
    public String error() {
        return error;
    }

    /** Parameters of the error, the message not among them. */
    public Map<String, @Nullable Object> parameters() {
        return parameters;
    }

    /** The same error, its message introduced by where it happened. */
    public ImageException in(String place) {
        return new ImageException(error, parameters, place + ": " + getMessage(), getCause());
    }

    /** Begins an exception for this error of the interface. */
    public static Builder of(String error) {
        return new Builder(error);
    }

    /** Collects the parameters, in the interface's order. */
    public static final class Builder {
        private final String error;
        private final Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        private @Nullable Throwable cause;

        private Builder(String error) {
            this.error = error;
        }

        public Builder with(String name, @Nullable Object value) {
            parameters.put(name, value);
            return this;
        }

        public Builder cause(Throwable reason) {
            cause = reason;
            return this;
        }

        public ImageException message(String message) {
            return new ImageException(error, parameters, message, cause);
        }
    }
}
