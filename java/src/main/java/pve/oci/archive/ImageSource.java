package pve.oci.archive;

import java.io.IOException;
import java.util.List;

/** Something that images can be picked from. */
public interface ImageSource {
    /** All images, in the archive's order. Those whose manifest cannot be read are listed without what it says. */
    List<Image.Summary> list() throws IOException;

    /** The image that the selector picks, its documents read and verified. */
    Image select(Selector selector) throws IOException;
}
