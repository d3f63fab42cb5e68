package pve.oci.update;

import java.io.IOException;

/** An update that cannot be done as things are. Nothing was changed. */
public final class UpdateException extends IOException {
    private static final long serialVersionUID = 1;

    /** The errors of the interface that this becomes. */
    public enum Reason {
        /** An update or a rollback was begun and not ended. */
        UPDATE_PENDING,
        /** What is to be kept and what the new image has exclude each other. */
        UPDATE_CONFLICT,
        /** There is no earlier tree. */
        NOTHING_TO_ROLL_BACK,
        /** The file system has no room for both trees. */
        NOT_ENOUGH_SPACE
    }

    private final Reason reason;

    public UpdateException(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    public Reason reason() {
        return reason;
    }
}
