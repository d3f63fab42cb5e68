package pve.oci.varlink;

import java.util.Map;

/**
 * An interface's definition, read from its text (varlink.org, Interface Definition). The text is what clients get from
 * GetInterfaceDescription; what is sent and received is checked against the rest.
 *
 * @param types by name; a definition is a struct or an enumeration
 * @param errors by name without the interface
 */
public record Idl(
        String text,
        String name,
        Map<String, IdlType> types,
        Map<String, Method> methods,
        Map<String, IdlType.Struct> errors) {
    /** A method's parameters and those of its reply. */
    public record Method(IdlType.Struct input, IdlType.Struct output) {}

    /** A method that the program knows of. */
    public Method method(String method) {
        Method found = methods.get(method);
        if (found == null) {
            throw new IllegalStateException("no method " + method + " in " + name);
        }
        return found;
    }

    /** A struct type that the program knows of. */
    public IdlType.Struct struct(String type) {
        if (types.get(type) instanceof IdlType.Struct found) {
            return found;
        }
        throw new IllegalStateException("no struct " + type + " in " + name);
    }
}
