package pve.oci.json;

/** A text beyond one of {@link JsonLimits}. */
public final class JsonLimitException extends JsonFormatException {
    private static final long serialVersionUID = 1;

    private final String what;
    private final String limit;
    private final long maximum;

    JsonLimitException(String what, String limit, long maximum) {
        super(what + ": the limit is " + maximum);
        this.what = what;
        this.limit = limit;
        this.maximum = maximum;
    }

    /** Says what is too large, without the limit. */
    public String what() {
        return what;
    }

    /** Name of the limit for documents of images; maximumJsonDepth, for example, is a setting. */
    public String limit() {
        return limit;
    }

    public long maximum() {
        return maximum;
    }
}
