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

    private final ImageError error;
    private final transient Map<String, @Nullable Object> parameters;

    private ImageException(
            ImageError error, Map<String, @Nullable Object> parameters, String message, @Nullable Throwable cause) {
        super(message, cause);
        this.error = error;
        this.parameters = parameters;
    }

    public ImageError error() {
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
    public static Builder of(ImageError error) {
        return new Builder(error);
    }

    /**
     * The error for a limit that is exceeded.
     *
     * @param name the setting's, or what is limited when no setting is
     */
    public static Builder limit(String name, long maximum) {
        return of(ImageError.LIMIT_EXCEEDED).with("limit", name).with("maximum", maximum);
    }

    /** Collects the parameters, in the interface's order. */
    public static final class Builder {
        private final ImageError error;
        private final Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        private @Nullable Throwable cause;

        private Builder(ImageError error) {
            this.error = error;
        }

        public Builder with(String name, @Nullable Object value) {
            parameters.put(name, value);
            return this;
        }

        /** Several parameters at once. */
        public Builder withAll(Map<String, ?> values) {
            parameters.putAll(values);
            return this;
        }

        public Builder cause(Throwable reason) {
            cause = reason;
            return this;
        }

        /** The message of a limit that is exceeded, from what is too large or too many. */
        public ImageException exceeded(String what) {
            return message(what + ": the limit is " + parameters.get("maximum") + " (" + parameters.get("limit") + ")");
        }

        public ImageException message(String message) {
            return new ImageException(error, parameters, message, cause);
        }
    }
}
