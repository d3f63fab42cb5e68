package pve.oci.varlink;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXServerSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import pve.oci.linux.ChannelSocket;

/**
 * A program that serves org.varlink.certification, for the clients of other implementations: each call must bring back
 * what the reply before it said. Its argument is the socket's path; it serves one connection.
 */
public final class CertificationServer {
    private static final String NAME = "org.varlink.certification";
    private static final String CLIENT_ID = "client";
    private static final Idl IDL = IdlParser.parse("""
            interface org.varlink.certification
            type Interface (foo: ?[]?[string](foo, bar, baz), anon: (foo: bool, bar: bool))
            type MyType (
              object: object, enum: (one, two, three), struct: (first: int, second: string), array: []string,
              dictionary: [string]string, stringset: [string](), nullable: ?string,
              nullable_array_struct: ?[](first: int, second: string), interface: Interface
            )
            method Start() -> (client_id: string)
            method Test01(client_id: string) -> (bool: bool)
            method Test02(client_id: string, bool: bool) -> (int: int)
            method Test03(client_id: string, int: int) -> (float: float)
            method Test04(client_id: string, float: float) -> (string: string)
            method Test05(client_id: string, string: string) -> (bool: bool, int: int, float: float, string: string)
            method Test06(client_id: string, bool: bool, int: int, float: float, string: string)
              -> (struct: (bool: bool, int: int, float: float, string: string))
            method Test07(client_id: string, struct: (bool: bool, int: int, float: float, string: string))
              -> (map: [string]string)
            method Test08(client_id: string, map: [string]string) -> (set: [string]())
            method Test09(client_id: string, set: [string]()) -> (mytype: MyType)
            method Test10(client_id: string, mytype: MyType) -> (string: string)
            method Test11(client_id: string, last_more_replies: []string) -> ()
            method End(client_id: string) -> (all_ok: bool)
            error ClientIdError ()
            error CertificationError (wants: object, got: object)
            """);

    private static final Map<String, Object> SCALARS =
            Map.of("bool", false, "int", 2L, "float", Math.PI, "string", "a \"string\" \u00e9\u20ac\n");
    private static final Map<String, Object> MY_TYPE = Map.of(
            "object", Map.of("method", NAME + ".Test09", "parameters", Map.of("map", Map.of("foo", "Foo"))),
            "enum", "two",
            "struct", Map.of("first", 1L, "second", "2"),
            "array", List.of("one", "two"),
            "dictionary", Map.of("foo", "Foo", "bar", "Bar"),
            "stringset", Map.of("one", Map.of(), "two", Map.of()),
            "nullable_array_struct", List.of(Map.of("first", 1L, "second", "2")),
            "interface",
                    Map.of(
                            "foo",
                            List.of(Map.of("foo", "foo", "bar", "bar")),
                            "anon",
                            Map.of("foo", true, "bar", false)));

    /** What each method replies, in the order of the calls. */
    private static final List<Map.Entry<String, Map<String, Object>>> REPLIES = List.of(
            Map.entry("Start", Map.of("client_id", CLIENT_ID)),
            Map.entry("Test01", Map.of("bool", true)),
            Map.entry("Test02", Map.of("int", 1L)),
            Map.entry("Test03", Map.of("float", 1.5)),
            Map.entry("Test04", Map.of("string", "ping")),
            Map.entry("Test05", SCALARS),
            Map.entry("Test06", Map.of("struct", SCALARS)),
            Map.entry("Test07", Map.of("map", Map.of("bar", "Bar", "foo", "Foo"))),
            Map.entry("Test08", Map.of("set", Map.of("one", Map.of(), "two", Map.of(), "three", Map.of()))),
            Map.entry("Test09", Map.of("mytype", MY_TYPE)));

    private static final List<String> MORE_REPLIES =
            IntStream.rangeClosed(1, 10).mapToObj(n -> "Reply number " + n).toList();

    private boolean allOk = true;

    private CertificationServer() {}

    public static void main(String[] arguments) throws IOException {
        AFUNIXSocketAddress address = AFUNIXSocketAddress.of(Path.of(arguments[0]));
        try (AFUNIXServerSocketChannel listener = AFUNIXServerSocketChannel.open()) {
            listener.bind(address, 1);
            ChannelSocket connection = ChannelSocket.of(listener.accept());
            VarlinkInterface offered = new VarlinkInterface(IDL, new CertificationServer().handlers());
            new VarlinkServer(new ServiceInfo("v", "p", "1", "u"), List.of(offered)).serve(connection);
        }
    }

    private Map<String, MethodHandler> handlers() {
        Map<String, MethodHandler> handlers = new HashMap<>();
        Map<String, Object> before = Map.of();
        for (Map.Entry<String, Map<String, Object>> reply : REPLIES) {
            Map<String, Object> wanted = reply.getKey().equals("Start") ? Map.of() : withClient(before);
            handlers.put(reply.getKey(), call -> {
                check(wanted, call.parameters());
                call.reply(new LinkedHashMap<>(reply.getValue()));
            });
            before = reply.getKey().equals("Start") ? Map.of() : reply.getValue();
        }
        Map<String, Object> last = withClient(before);
        handlers.put("Test10", call -> replyMore(last, call));
        handlers.put("Test11", call -> {
            check(withClient(Map.of("last_more_replies", MORE_REPLIES)), call.parameters());
            call.reply(Map.of());
        });
        handlers.put("End", call -> {
            check(withClient(Map.of()), call.parameters());
            call.reply(Map.of("all_ok", allOk));
        });
        return handlers;
    }

    private static Map<String, Object> withClient(Map<String, Object> parameters) {
        Map<String, Object> all = new LinkedHashMap<>(parameters);
        all.put("client_id", CLIENT_ID);
        return all;
    }

    private void replyMore(Map<String, Object> wanted, ServerCall call) throws VarlinkException, IOException {
        check(wanted, call.parameters());
        if (!call.wantsMore()) {
            throw VarlinkException.invalidParameter("more");
        }
        for (String reply : MORE_REPLIES.subList(0, MORE_REPLIES.size() - 1)) {
            call.replyContinues(Map.of("string", reply));
        }
        call.reply(Map.of("string", MORE_REPLIES.get(MORE_REPLIES.size() - 1)));
    }

    private void check(Map<String, Object> wants, Map<String, @Nullable Object> got) throws VarlinkException {
        if (!isSame(wants, got)) {
            allOk = false;
            throw new VarlinkException(NAME + ".CertificationError", Map.of("wants", wants, "got", got));
        }
    }

    /** Numbers by value: a client may write 1.0 as 1. Members that are null are as good as missing. */
    private static boolean isSame(@Nullable Object wanted, @Nullable Object got) {
        if (wanted instanceof Map<?, ?> map && got instanceof Map<?, ?> other) {
            return map.entrySet().stream().allMatch(entry -> isSame(entry.getValue(), other.get(entry.getKey())))
                    && other.entrySet().stream()
                            .allMatch(entry -> entry.getValue() == null || map.containsKey(entry.getKey()));
        }
        if (wanted instanceof List<?> list && got instanceof List<?> other) {
            return list.size() == other.size()
                    && IntStream.range(0, list.size()).allMatch(i -> isSame(list.get(i), other.get(i)));
        }
        if (wanted instanceof Number number && got instanceof Number other) {
            return number.doubleValue() == other.doubleValue();
        }
        return wanted == null ? got == null : wanted.equals(got);
    }
}
