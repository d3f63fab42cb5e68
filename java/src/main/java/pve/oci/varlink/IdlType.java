package pve.oci.varlink;

import java.util.Map;
import java.util.Set;

/** A type of the interface definition language. */
public sealed interface IdlType {
    /** The types that have a name of their own in the language. */
    enum Basic implements IdlType {
        BOOL,
        INT,
        FLOAT,
        STRING,
        OBJECT
    }

    /** {@code ?type} */
    record Optional(IdlType type) implements IdlType {}

    /** {@code []type} */
    record Array(IdlType element) implements IdlType {}

    /** {@code [string]type} */
    record Dictionary(IdlType value) implements IdlType {}

    /** {@code (name: type, ...)} */
    record Struct(Map<String, IdlType> fields) implements IdlType {}

    /** {@code (name, ...)} */
    record Enumeration(Set<String> values) implements IdlType {}

    /** A type that is defined elsewhere in the interface. */
    record Reference(String name) implements IdlType {}
}
