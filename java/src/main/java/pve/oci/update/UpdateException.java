package pve.oci.update;

import java.io.IOException;

/** The update cannot be done. Nothing was changed. */
public final class UpdateException extends IOException {
    private static final long serialVersionUID = 1;

    /** The errors of the interface that this becomes. */
    public enum Reason {
        /** An update or a rollback was begun and not ended. */
        UPDATE_PENDING,
        /** Something that is to be kept is in the way of something in the new image, or the other way round. */
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
