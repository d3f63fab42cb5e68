package pve.oci.archive;

import java.io.IOException;
import java.util.List;

/** Something that images can be picked from. */
public interface ImageSource {
    /** All images of it, in its order, as far as their manifests can be read. */
    List<Image.Summary> list() throws IOException;

    /** The image that the selector picks, its documents read and verified. */
    Image select(Selector selector) throws IOException;
}
