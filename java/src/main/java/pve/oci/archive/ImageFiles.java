package pve.oci.archive;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** The files of an archive by their names: "index.json", "blobs/sha256/...". */
interface ImageFiles extends AutoCloseable {
    /** Size of the regular file of that name; null when there is none. */
    @Nullable
    Long size(String name) throws IOException;

    /**
     * Opens a file that {@link #size} knows. In a stream one file at a time may be open; otherwise any number, and each
     * may be opened and read by another thread.
     */
    BlobSource open(String name) throws IOException;

    /** What stands under that name instead of a regular file ("a symbolic link"); null when nothing does. */
    @Nullable
    String otherType(String name) throws IOException;

    /** Whether files can only be read one after the other. */
    default boolean isStream() {
        return false;
    }

    /** Whether this is a directory and not an archive. A directory may hold anything else besides the image. */
    default boolean isDirectory() {
        return false;
    }

    /** Whether there is nothing in it at all. */
    boolean isEmpty();

    @Override
    void close();
}
