package pve.oci.oci;

/** The errors of the interface io.pve.oci that an image, or what is done with it, can end in. */
public enum ImageError {
    NOT_AN_OCI_ARCHIVE("NotAnOciArchive"),
    MALFORMED_ARCHIVE("MalformedArchive"),
    MALFORMED_IMAGE("MalformedImage"),
    UNSUPPORTED_MEDIA_TYPE("UnsupportedMediaType"),
    NO_MATCHING_IMAGE("NoMatchingImage"),
    BLOB_NOT_FOUND("BlobNotFound"),
    DIGEST_MISMATCH("DigestMismatch"),
    SIZE_MISMATCH("SizeMismatch"),
    REFUSED_ENTRY("RefusedEntry"),
    ENTRY_FAILED("EntryFailed"),
    SYSTEM_ERROR("SystemError"),
    LIMIT_EXCEEDED("LimitExceeded"),
    ROOT_DIRECTORY_NOT_EMPTY("RootDirectoryNotEmpty"),
    NO_RECORD("NoRecord"),
    RECORD_DAMAGED("RecordDamaged"),
    ROOT_DIRECTORY_CHANGED("RootDirectoryChanged"),
    UPDATE_PENDING("UpdatePending"),
    UPDATE_CONFLICT("UpdateConflict"),
    NOTHING_TO_ROLL_BACK("NothingToRollBack"),
    NOT_ENOUGH_SPACE("NotEnoughSpace");

    private final String definition;

    ImageError(String definition) {
        this.definition = definition;
    }

    /** Its name in the interface's definition. */
    public String definition() {
        return definition;
    }
}
