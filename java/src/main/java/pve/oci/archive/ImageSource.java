package pve.oci.archive;

import java.io.IOException;
import java.util.List;

/** Something that images can be picked from. */
public interface ImageSource {
    /**
     * All images, in the archive's order. If the documents of one cannot be read, an image layout lists it with size
     * and number of layers 0, and a docker archive leaves it out.
     */
    List<Image.Summary> list() throws IOException;

    /** The image that the selector picks, its documents read and verified. */
    Image select(Selector selector) throws IOException;
}
