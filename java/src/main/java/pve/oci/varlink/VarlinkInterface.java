package pve.oci.varlink;

import java.util.Map;

/**
 * An interface that a server offers.
 *
 * @param handlers by the method's name without the interface; a method of the definition that has none is answered
 *     with MethodNotImplemented
 */
public record VarlinkInterface(Idl idl, Map<String, MethodHandler> handlers) {
    public VarlinkInterface {
        for (String method : handlers.keySet()) {
            if (!idl.methods().containsKey(method)) {
                throw new IllegalArgumentException("no method " + method + " in " + idl.name());
            }
        }
    }
}
