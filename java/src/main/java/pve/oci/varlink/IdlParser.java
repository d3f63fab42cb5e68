package pve.oci.varlink;

import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads an interface definition by recursive descent. It uses no patterns, because each worker reads its interface when
 * it starts.
 */
public final class IdlParser {
    private static final Map<String, IdlType> BASIC = Map.of(
            "bool", IdlType.Basic.BOOL,
            "int", IdlType.Basic.INT,
            "float", IdlType.Basic.FLOAT,
            "string", IdlType.Basic.STRING,
            "object", IdlType.Basic.OBJECT);

    private final String text;
    private int at;

    private final Map<String, IdlType> types = new LinkedHashMap<>();
    private final Map<String, Idl.Method> methods = new LinkedHashMap<>();
    private final Map<String, IdlType.Struct> errors = new LinkedHashMap<>();
    private final Set<String> references = new LinkedHashSet<>();

    private IdlParser(String text) {
        this.text = text;
    }

    /** Reads a definition that comes with the program: a mistake in it is a bug. */
    public static Idl parse(String text) {
        return new IdlParser(text).definition();
    }

    /** Reads the definition from a resource of the class path. */
    public static Idl ofResource(String path) {
        try (InputStream stream = open(path)) {
            if (stream == null) {
                throw new IllegalStateException("no resource " + path);
            }
            return parse(new String(stream.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The program's home has a copy of the resource, if it is known: opening the jar takes each worker 4 ms. */
    private static @Nullable InputStream open(String path) {
        String home = System.getProperty("pve.oci.home");
        if (home != null) {
            try {
                return new FileInputStream(home + "/classes" + path);
            } catch (FileNotFoundException e) {
                // there is no copy
            }
        }
        return IdlParser.class.getResourceAsStream(path);
    }

    private Idl definition() {
        expect("interface");
        String name = name(".-");
        require(name.indexOf('.') > 0, "name of an interface expected");
        skip();
        while (at < text.length()) {
            member();
            skip();
        }
        for (String reference : references) {
            require(types.containsKey(reference), "type " + reference + " is not defined");
        }
        return new Idl(text, name, types, methods, errors);
    }

    private void member() {
        if (accept("type")) {
            String name = newName();
            types.put(name, braces());
        } else if (accept("method")) {
            String name = newName();
            IdlType.Struct input = struct();
            expect("->");
            methods.put(name, new Idl.Method(input, struct()));
        } else {
            expect("error");
            String name = newName();
            errors.put(name, struct());
        }
    }

    private String newName() {
        String name = name("");
        require(name.charAt(0) < 'a', "name of a member expected");
        require(
                !types.containsKey(name) && !methods.containsKey(name) && !errors.containsKey(name),
                name + " is defined twice");
        return name;
    }

    private IdlType.Struct struct() {
        IdlType type = braces();
        require(type instanceof IdlType.Struct, "fields need types here");
        return (IdlType.Struct) type;
    }

    /** A struct or an enumeration: the first name is followed by a colon, or not. */
    private IdlType braces() {
        expect("(");
        Map<String, IdlType> fields = new LinkedHashMap<>();
        Set<String> values = new LinkedHashSet<>();
        while (!accept(")")) {
            if (!fields.isEmpty() || !values.isEmpty()) {
                expect(",");
            }
            String name = name("_");
            require(!fields.containsKey(name) && values.add(name), name + " is named twice");
            if (accept(":")) {
                values.remove(name);
                fields.put(name, type());
            }
            require(fields.isEmpty() || values.isEmpty(), "fields and values are mixed");
        }
        return values.isEmpty() ? new IdlType.Struct(fields) : new IdlType.Enumeration(values);
    }

    private IdlType type() {
        if (accept("?")) {
            IdlType type = type();
            require(!(type instanceof IdlType.Optional), "?? is no type");
            return new IdlType.Optional(type);
        }
        if (accept("[]")) {
            return new IdlType.Array(type());
        }
        if (accept("[string]")) {
            return new IdlType.Dictionary(type());
        }
        skip();
        if (text.startsWith("(", at)) {
            return braces();
        }
        String name = name("_");
        IdlType basic = BASIC.get(name);
        if (basic != null) {
            return basic;
        }
        references.add(name);
        return new IdlType.Reference(name);
    }

    /** Skips white space and comments. */
    private void skip() {
        boolean isComment = false;
        while (at < text.length() && (isComment || text.charAt(at) == '#' || text.charAt(at) <= ' ')) {
            isComment = text.charAt(at) != '\n' && (isComment || text.charAt(at) == '#');
            at++;
        }
    }

    private boolean accept(String symbol) {
        skip();
        boolean found = text.startsWith(symbol, at);
        at += found ? symbol.length() : 0;
        return found;
    }

    private void expect(String symbol) {
        require(accept(symbol), "\"" + symbol + "\" expected");
    }

    /**
     * A name: letters and digits of ASCII, a letter first.
     *
     * @param separators one of these may stand between two of them
     */
    private String name(String separators) {
        skip();
        int end = at;
        int next = at;
        while (next < text.length() && isOfName(text.charAt(next), end > at)) {
            end = next + 1;
            boolean isSeparated = end < text.length() && separators.indexOf(text.charAt(end)) >= 0;
            next = isSeparated ? end + 1 : end;
        }
        require(end > at, "name expected");
        String name = text.substring(at, end);
        at = end;
        return name;
    }

    private static boolean isOfName(char c, boolean mayBeDigit) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (mayBeDigit && c >= '0' && c <= '9');
    }

    private void require(boolean condition, String reason) {
        if (!condition) {
            long line = text.substring(0, Math.min(at, text.length()))
                            .chars()
                            .filter(c -> c == '\n')
                            .count()
                    + 1;
            throw new IllegalArgumentException("line " + line + ": " + reason);
        }
    }
}
