package pve.oci.varlink;

import java.io.IOException;
import java.util.List;
import java.util.Map;

/** The interface org.varlink.service, which every server has. */
final class ServiceInterface {
    private static final String IDL = """
            # The Varlink Service Interface is provided by every varlink service. It
            # describes the service and the interfaces it implements.
            interface org.varlink.service

            # Get a list of all the interfaces a service provides and information
            # about the implementation.
            method GetInfo() -> (
              vendor: string,
              product: string,
              version: string,
              url: string,
              interfaces: []string
            )

            # Get the description of an interface that is implemented by this service.
            method GetInterfaceDescription(interface: string) -> (description: string)

            # The requested interface was not found.
            error InterfaceNotFound (interface: string)

            # The requested method was not found
            error MethodNotFound (method: string)

            # The interface defines the requested method, but the service does not
            # implement it.
            error MethodNotImplemented (method: string)

            # One of the passed parameters is invalid.
            error InvalidParameter (parameter: string)
            """;

    private final ServiceInfo info;
    private final Map<String, VarlinkInterface> interfaces;

    /** @param interfaces all that the server offers; may still be filled */
    ServiceInterface(ServiceInfo info, Map<String, VarlinkInterface> interfaces) {
        this.info = info;
        this.interfaces = interfaces;
    }

    VarlinkInterface asInterface() {
        return new VarlinkInterface(
                IdlParser.parse(IDL),
                Map.of("GetInfo", this::getInfo, "GetInterfaceDescription", this::getInterfaceDescription));
    }

    private void getInfo(ServerCall call) throws IOException {
        call.reply(Map.of(
                "vendor", info.vendor(),
                "product", info.product(),
                "version", info.version(),
                "url", info.url(),
                "interfaces", List.copyOf(interfaces.keySet())));
    }

    private void getInterfaceDescription(ServerCall call) throws VarlinkException, IOException {
        String name = String.valueOf(call.parameters().get("interface"));
        VarlinkInterface found = interfaces.get(name);
        if (found == null) {
            throw VarlinkException.interfaceNotFound(name);
        }
        call.reply(Map.of("description", found.idl().text()));
    }
}
