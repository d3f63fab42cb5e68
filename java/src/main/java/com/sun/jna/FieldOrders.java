package com.sun.jna;

import java.util.List;

/**
 * Tells JNA the order of the fields of its own structure for C types, which it would read from an annotation. For that
 * the JDK makes classes at run time (proxies), which takes 5 ms of each worker's start. JNA's map for it is open to its
 * package only.
 */
public final class FieldOrders {
    private FieldOrders() {}

    /** To be called before any C function is bound. */
    public static void set() {
        Structure.fieldOrder.put(Structure.FFIType.class, List.of("size", "alignment", "type", "elements"));
    }
}
