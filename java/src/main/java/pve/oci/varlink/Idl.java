package pve.oci.varlink;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * An interface's definition, read from its text (varlink.org, Interface Definition). The text is what clients get from
 * GetInterfaceDescription; what is sent and received is held against the rest.
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

    /** Reads a definition that comes with the program: a mistake in it is a bug. */
    public static Idl parse(String text) {
        return new IdlParser(text).parse();
    }

    /** Reads the definition from a resource of the class path. */
    public static Idl ofResource(String path) {
        try (InputStream stream = Idl.class.getResourceAsStream(path)) {
            if (stream == null) {
                throw new IllegalStateException("no resource " + path);
            }
            return parse(new String(stream.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
