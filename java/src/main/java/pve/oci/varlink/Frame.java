package pve.oci.varlink;

import java.util.List;
import pve.oci.linux.Fd;

/** One message as it came off a socket. Whoever takes the frame owns its descriptors. */
public final class Frame implements AutoCloseable {
    private final byte[] json;
    private final List<Fd> descriptors;

    Frame(byte[] json, List<Fd> descriptors) {
        this.json = json;
        this.descriptors = descriptors;
    }

    /** The bytes before the NUL, not parsed yet; behind a large frame there may be spaces. */
    public byte[] json() {
        return json;
    }

    /** What came with these bytes. */
    public List<Fd> descriptors() {
        return descriptors;
    }

    /** Closes every descriptor that nobody has taken over. */
    @Override
    public void close() {
        descriptors.forEach(Fd::close);
    }
}
