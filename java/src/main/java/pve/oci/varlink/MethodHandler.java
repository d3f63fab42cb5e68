package pve.oci.varlink;

import java.io.IOException;

/** Code behind one method of an interface. It runs on the connection's thread; the next call waits for its end. */
public interface MethodHandler {
    /**
     * Answers the call by {@link ServerCall#reply} exactly once, at the end, or by throwing.
     *
     * @throws IOException when the connection itself fails, see {@link ServerCall}
     */
    void handle(ServerCall call) throws VarlinkException, IOException;
}
