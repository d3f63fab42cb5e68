package pve.oci.varlink;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import pve.oci.json.Json;
import pve.oci.linux.CString;
import pve.oci.linux.ChannelSocket;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Poll;
import pve.oci.linux.UnixSocket;

/** The protocol, with an interface that has nothing to do with images. */
class VarlinkServerTest {
    private static final int MAXIMUM_FRAME = 100_000;
    private static final Idl IDL = IdlParser.parse("""
            interface org.example.test
            method Echo(text: string) -> (text: string)
            method CountDescriptors(first: int) -> (isOpen: bool)
            method Flood(count: int, size: int) -> (number: ?int, text: ?string)
            method AwaitEnd() -> ()
            method Absent() -> ()
            error Refused (reason: string)
            """);

    private TestClient client;
    private Thread thread;
    private final List<String> ended = new CopyOnWriteArrayList<>();

    private static void serve(VarlinkServer server, AFUNIXSocketChannel channel) {
        try {
            server.serve(ChannelSocket.of(channel));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    @BeforeEach
    void start() throws Exception {
        List<AFUNIXSocketChannel> pair = TestClient.pair();
        VarlinkInterface test = new VarlinkInterface(
                IDL,
                Map.of(
                        "Echo", VarlinkServerTest::echo,
                        "CountDescriptors", VarlinkServerTest::countDescriptors,
                        "Flood", VarlinkServerTest::flood,
                        "AwaitEnd", this::awaitEnd));
        VarlinkServer server =
                new VarlinkServer(new ServiceInfo("v", "p", "1", "u"), List.of(test), MAXIMUM_FRAME, 500);
        thread = new Thread(() -> {
            serve(server, pair.get(0));
            ended.add("served");
        });
        thread.start();
        client = new TestClient(pair.get(1));
    }

    @AfterEach
    void stop() throws Exception {
        client.close();
        thread.join(5_000);
        assertThat(thread.isAlive()).isFalse();
    }

    private static void echo(ServerCall call) throws VarlinkException, IOException {
        if (!(call.parameters().get("text") instanceof String text)) {
            throw VarlinkException.invalidParameter("text");
        }
        if (text.equals("refuse")) {
            throw new VarlinkException("org.example.test.Refused", Map.of("reason", "asked for"));
        }
        call.reply(Map.of("text", text));
    }

    private static void countDescriptors(ServerCall call) throws IOException {
        Fd fd = call.descriptor(((Number) Tree.at(call.parameters(), "first")).longValue());
        call.reply(Map.of("isOpen", fd != null && fd.isOpen()));
    }

    private static void flood(ServerCall call) throws IOException {
        long count = ((Number) Tree.at(call.parameters(), "count")).longValue();
        String text = "x".repeat(((Number) Tree.at(call.parameters(), "size")).intValue());
        for (long i = 0; i < count; i++) {
            call.offerProgress(Map.of("number", i, "text", text), 0);
        }
        call.reply(Map.of("text", text));
    }

    private void awaitEnd(ServerCall call) throws IOException {
        ServerCall.Readiness readiness = call.await(-1, 3_000);
        ended.add(readiness.toString());
        call.reply(Map.of());
    }

    private @Nullable Map<String, @Nullable Object> echo(String text) throws IOException {
        return client.call("org.example.test.Echo", Map.of("text", text));
    }

    @Test
    void describes_itself() throws Exception {
        assertThat(client.call("org.varlink.service.GetInfo", Map.of()))
                .isEqualTo(Map.of(
                        "parameters",
                        Map.of(
                                "vendor", "v",
                                "product", "p",
                                "version", "1",
                                "url", "u",
                                "interfaces", List.of("org.varlink.service", "org.example.test"))));
        assertThat(client.call("org.varlink.service.GetInterfaceDescription", Map.of("interface", "org.example.test")))
                .isEqualTo(Map.of("parameters", Map.of("description", IDL.text())));
    }

    static List<List<Object>> wrongCalls() {
        return List.of(
                List.of("no.such.interface.Method", Map.of(), "InterfaceNotFound", "interface", "no.such.interface"),
                List.of("Method", Map.of(), "InterfaceNotFound", "interface", ""),
                List.of("org.example.test.Nope", Map.of(), "MethodNotFound", "method", "org.example.test.Nope"),
                List.of(
                        "org.example.test.Absent",
                        Map.of(),
                        "MethodNotImplemented",
                        "method",
                        "org.example.test.Absent"),
                List.of("org.example.test.Echo", Map.of(), "InvalidParameter", "parameter", "text"),
                List.of("org.example.test.Echo", Map.of("text", 3), "InvalidParameter", "parameter", "text"),
                List.of("org.varlink.service.GetInfo", Map.of("x", 1), "InvalidParameter", "parameter", "x"),
                List.of(
                        "org.varlink.service.GetInterfaceDescription",
                        Map.of("interface", "x.y"),
                        "InterfaceNotFound",
                        "interface",
                        "x.y"));
    }

    @ParameterizedTest
    @MethodSource("wrongCalls")
    void answers_wrong_calls_with_standard_errors(List<Object> wrong) throws Exception {
        assertThat(client.call((String) wrong.get(0), Json.asObject((Map<?, ?>) wrong.get(1))))
                .isEqualTo(Map.of(
                        "error",
                        "org.varlink.service." + wrong.get(2),
                        "parameters",
                        Map.of((String) wrong.get(3), wrong.get(4))));
        assertThat(Tree.at(echo("still here"), "parameters", "text")).isEqualTo("still here");
    }

    @Test
    void refuses_upgrade() throws Exception {
        client.send(Map.of("method", "org.example.test.Echo", "parameters", Map.of("text", "a"), "upgrade", true));
        assertThat(Tree.at(client.receive(), "error")).isEqualTo("org.varlink.service.MethodNotImplemented");
    }

    /** One frame a line; ARRAYS, DEEP and MANY stand for what is too long to be written here. */
    static Stream<String> brokenFrames() {
        Stream<String> frames = """

                {
                nonsense
                []
                "text"
                null
                {}
                {"method": 3}
                {"method": "a.b.C", "parameters": []}
                {"method": "a.b.C", "more": 1}
                {"method": "a.b.C"} {}
                {"method": "a.b.C", "method": "a.b.D"}
                {"method": "a.b.C", "parameters": ARRAYS
                {"method": "a.b.C", "parameters": {"a": DEEP}}
                {"method": "a.b.C", "parameters": {"a": [MANY]}}
                """.lines().map(line -> line.replace("ARRAYS", "[".repeat(10_000))
                        .replace("DEEP", "[".repeat(200) + "]".repeat(200))
                        .replace("MANY", "0,".repeat(30_000) + "0")
                + "\0");
        Stream<String> others =
                Stream.of("\0".repeat(10), """
                {"method": \"""" + "x".repeat(2 * MAXIMUM_FRAME), "x".repeat(MAXIMUM_FRAME + 1) + "\0");
        return Stream.concat(frames, others);
    }

    @ParameterizedTest
    @MethodSource("brokenFrames")
    void drops_connection_that_breaks_the_protocol(String broken) throws Exception {
        try {
            client.sendRaw(broken);
        } catch (IOException e) {
            // dropped before all of it was sent
        }
        Map<String, @Nullable Object> reply;
        try {
            reply = client.receive();
        } catch (FrameException e) {
            reply = null;
        }
        assertThat(reply).isNull();
    }

    @Test
    void ends_quietly_at_an_unfinished_frame() throws Exception {
        client.sendRaw("""
                {"method":""");
        client.close();
        thread.join(5_000);
        assertThat(ended).containsExactly("served");
    }

    /** The frame of a call, with its NUL. */
    private static String echoFrame(String text) {
        return """
                {"method": "org.example.test.Echo", "parameters": {"text": "%s"}}\0""".formatted(text);
    }

    @Test
    void takes_a_frame_byte_by_byte_and_one_of_the_largest_size() throws Exception {
        for (char c : echoFrame("a").toCharArray()) {
            client.sendRaw(String.valueOf(c));
        }
        assertThat(Tree.at(client.receive(), "parameters", "text")).isEqualTo("a");
        String text = "y".repeat(MAXIMUM_FRAME + 1 - echoFrame("").length());
        client.sendRaw(echoFrame(text));
        assertThat(Tree.at(client.receive(), "parameters", "text")).isEqualTo(text);
    }

    @Test
    void answers_pipelined_calls_in_order() throws Exception {
        StringBuilder calls = new StringBuilder();
        for (int i = 0; i < 300; i++) {
            calls.append(echoFrame(String.valueOf(i)));
        }
        client.sendRaw(calls.toString());
        for (int i = 0; i < 300; i++) {
            assertThat(Tree.at(client.receive(), "parameters", "text")).isEqualTo("" + i);
        }
    }

    @Test
    void answers_errors_of_the_interface() throws Exception {
        assertThat(echo("refuse"))
                .isEqualTo(Map.of("error", "org.example.test.Refused", "parameters", Map.of("reason", "asked for")));
    }

    @Test
    void oneway_gets_no_reply() throws Exception {
        client.send(Map.of("method", "org.example.test.Echo", "parameters", Map.of("text", "a"), "oneway", true));
        client.send(Map.of("method", "org.example.test.Nope", "parameters", Map.of(), "oneway", true));
        assertThat(Tree.at(echo("b"), "parameters", "text")).isEqualTo("b");
    }

    @Test
    void half_closed_client_still_gets_its_reply() throws Exception {
        client.send(Map.of("method", "org.example.test.Echo", "parameters", Map.of("text", "a")));
        client.endSending();
        assertThat(Tree.at(client.receive(), "parameters", "text")).isEqualTo("a");
        assertThat(client.receive()).isNull();
    }

    @Test
    void sees_the_end_of_the_client_while_a_call_is_at_work() throws Exception {
        client.send(Map.of("method", "org.example.test.AwaitEnd"));
        client.send(Map.of("method", "org.example.test.Echo"));
        Thread.sleep(50);
        client.close();
        thread.join(1_000);
        assertThat(ended).containsExactly("PEER_GONE", "served");
    }

    @Test
    void end_of_the_clients_sending_ends_the_call_at_work() throws Exception {
        client.send(Map.of("method", "org.example.test.AwaitEnd"));
        Thread.sleep(50);
        client.endSending();
        thread.join(1_000);
        assertThat(ended).containsExactly("PEER_GONE", "served");
    }

    @Test
    void client_that_does_not_read_gets_the_latest_progress_only() throws Exception {
        client.send(TestClient.more("org.example.test.Flood", Map.of("count", 20_000, "size", 1_000)));
        Thread.sleep(300);
        List<Object> numbers = new ArrayList<>();
        Map<String, @Nullable Object> reply = client.receive();
        while (reply != null && Boolean.TRUE.equals(reply.get("continues"))) {
            numbers.add(Tree.at(reply, "parameters", "number"));
            reply = client.receive();
        }
        assertThat(reply).isNotNull();
        assertThat(numbers.size()).isBetween(10, 5_000);
    }

    @Test
    void client_that_never_reads_is_dropped() throws Exception {
        client.send(TestClient.more("org.example.test.Flood", Map.of("count", 20_000, "size", 1_000)));
        thread.join(5_000);
        assertThat(ended).containsExactly("served");
    }

    @Test
    void descriptors_belong_to_the_frame_they_came_with() throws Exception {
        try (Fd fd = open("/dev/null")) {
            Map<String, Object> call =
                    Map.of("method", "org.example.test.CountDescriptors", "parameters", Map.of("first", 0));
            client.send(call);
            client.send(call, fd, fd);
            client.send(call);
        }
        assertThat(Tree.at(client.receive(), "parameters", "isOpen")).isEqualTo(false);
        assertThat(Tree.at(client.receive(), "parameters", "isOpen")).isEqualTo(true);
        assertThat(Tree.at(client.receive(), "parameters", "isOpen")).isEqualTo(false);
    }

    @Test
    void keeps_no_descriptor() throws Exception {
        assertThat(echo("warm")).isNotNull();
        Path file = Files.createTempFile("descriptor", null);
        List<Fd> many = new ArrayList<>();
        for (int i = 0; i < UnixSocket.MAXIMUM_DESCRIPTORS; i++) {
            many.add(open(file.toString()));
        }
        Fd[] array = many.toArray(new Fd[0]);
        for (int i = 0; i < 3; i++) {
            client.send(Map.of("method", "org.example.test.Echo", "parameters", Map.of("text", "a")), array);
            assertThat(client.receive()).isNotNull();
        }
        assertThat(descriptorsOf(file)).as("the test's own").isEqualTo(many.size());
        // an unfinished frame that brings some, and then ends
        client.channel().socket().send(new byte[] {'{'}, 0, 1, List.of(array));
        client.endSending();
        thread.join(5_000);
        assertThat(descriptorsOf(file)).as("the test's own").isEqualTo(many.size());
        many.forEach(Fd::close);
        Files.delete(file);
    }

    private static long descriptorsOf(Path file) throws IOException {
        try (var links = Files.list(Path.of("/proc/self/fd"))) {
            return links.filter(each -> leadsTo(each, file)).count();
        }
    }

    private static boolean leadsTo(Path link, Path file) {
        try {
            return Files.readSymbolicLink(link).equals(file);
        } catch (IOException e) {
            return false; // closed meanwhile
        }
    }

    private static Fd open(String path) throws IOException {
        CString name = CString.of(path);
        return new Fd(Libc.openat(Libc.AT_FDCWD, name.address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
    }

    @Test
    void poll_tells_a_closed_peer_from_a_half_closed_one() throws Exception {
        List<AFUNIXSocketChannel> pair = TestClient.pair();
        int number = ChannelSocket.of(pair.get(0)).number();
        pair.get(1).shutdownOutput();
        assertThat(Poll.await(number, 0, 0)).isZero();
        pair.get(1).close();
        assertThat(Poll.await(number, 0, 0) & Poll.POLLHUP).isNotZero();
        pair.get(0).close();
    }
}
