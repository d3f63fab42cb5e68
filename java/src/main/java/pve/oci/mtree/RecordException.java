package pve.oci.mtree;

import java.io.IOException;

/** The record cannot be used. It is data from the container, so this says nothing about the image. */
public final class RecordException extends IOException {
    private static final long serialVersionUID = 1;

    private final boolean isMissing;

    private RecordException(String message, boolean isMissing) {
        super(message);
        this.isMissing = isMissing;
    }

    static RecordException missing() {
        return new RecordException("there is no record of what the image made (" + TreeRecord.NAME + ")", true);
    }

    static RecordException damaged(long line, String reason) {
        return new RecordException("the record " + TreeRecord.NAME + " is damaged: line " + line + " " + reason, false);
    }

    /** Whether there is no record at all. */
    public boolean isMissing() {
        return isMissing;
    }
}
