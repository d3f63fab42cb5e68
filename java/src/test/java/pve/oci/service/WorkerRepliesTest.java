package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.VarlinkException;

/** What a hostile worker may try to say. */
class WorkerRepliesTest {
    private static final Idl IDL = IdlParser.ofResource("/io.pve.oci.varlink");

    private static WorkerReplies.Message read(String json) throws VarlinkException {
        return new WorkerReplies(IDL)
                .read(
                        json.getBytes(StandardCharsets.ISO_8859_1),
                        IDL.method("DetectArchive").output());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\377\376"})
    @CsvSource(delimiter = '|', textBlock = """
            {
            []
            null
            "reply"
            {"parameters":[]}
            {"parameters":{}}
            {"parameters":{"format":"mine"}}
            {"parameters":{"format":1}}
            {"parameters":{"format":"tar","more":1}}
            {"parameters":{"format":"tar","format":"tar"}}
            {"error":1}
            {"error":"org.varlink.service.MethodNotFound","parameters":{"method":"a"}}
            {"error":"io.pve.oci.Nope","parameters":{"message":"a"}}
            {"error":"io.pve.oci.PermissionDenied"}
            {"error":"io.pve.oci.PermissionDenied","parameters":{"message":1}}
            {"error":"io.pve.oci.PermissionDenied","parameters":{"message":"a","x":1}}
            {"continues":true,"parameters":{"progress":{}}}
            {"continues":true,"parameters":{"progress":{"phase":"x","bytesRead":1,"bytesTotal":1,\
            "entriesWritten":1,"bytesWritten":1}}}
            {"continues":true,"parameters":{"progress":{"phase":"parsing","bytesRead":1e400,"bytesTotal":1,\
            "entriesWritten":1,"bytesWritten":1}}}
            {"continues":true,"parameters":{"existing":"a"}}
            {"continues":true,"parameters":{"existing":[1]}}
            {"continues":true,"parameters":{"existing":[{"path":"a"}]}}
            {"continues":true,"parameters":{"log":{"level":1}}}
            {"continues":true,"parameters":{"log":{"level":"err","message":"a"}}}
            {"continues":true,"parameters":{"ready":1}}
            {"continues":true,"parameters":{"ready":true,"pid":1}}
            {"continues":true,"parameters":{"format":"tar"}}
            {"continues":true,"parameters":{}}
            {"continues":true}
            {"continues":1,"parameters":{"format":"tar"}}
            {"continues":false,"parameters":{"format":"tar"}}
            {"parameters":{"format":"tar"},"upgraded":true}
            {"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"uidMap"}}
            """)
    void refuses(String json) {
        assertThatThrownBy(() -> read(json))
                .isInstanceOfSatisfying(
                        VarlinkException.class, e -> assertThat(e.error()).isEqualTo("io.pve.oci.WorkerFailed"));
    }

    /** What is kept of a frame must fit into the daemon's heap. */
    @Test
    void refuses_what_takes_too_much_memory() {
        String deep = """
                {"a":""".repeat(70) + "0" + "}".repeat(70);
        List<String> frames = List.of(
                """
                {"continues": true, "parameters": {"log": {"level": "info", "message": "TEXT"}}}
                """.replace("TEXT", "x".repeat(300 << 10)),
                """
                {"continues": true, "parameters": {"existing": [ENTRIES 0]}}
                """.replace("ENTRIES", (deep + ",").repeat(2000)),
                """
                {"parameters": {"NAME": 0}}
                """.replace("NAME", "x".repeat(7 << 20)));
        for (String json : frames) {
            assertThatThrownBy(() -> read(json))
                    .isInstanceOfSatisfying(
                            VarlinkException.class,
                            e -> assertThat(String.valueOf(e.parameters().get("message")))
                                    .startsWith("worker sent no valid reply"));
        }
    }

    @Test
    void error_text_is_one_clean_line() throws Exception {
        WorkerReplies.Message message = read("""
                        {"error":"io.pve.oci.MalformedArchive","parameters":{"message":"a\\nb\\u001b[2Jc\\u2028"}}""");
        assertThat(message)
                .isInstanceOfSatisfying(
                        WorkerReplies.ErrorReply.class,
                        error -> assertThat(error.error().parameters())
                                .containsEntry("message", "a\\x0ab\\x1b[2Jc\\xe2\\x80\\xa8"));
    }

    @Test
    void an_early_configuration_is_passed_on_as_it_is() throws Exception {
        byte[] frame = """
                        {"continues": true, "parameters": {"config": {"a": [1]}}}""".getBytes(StandardCharsets.UTF_8);
        WorkerReplies.Message message = new WorkerReplies(IDL)
                .read(frame, IDL.method("ParseAndExtractImage").output());
        assertThat(message)
                .isInstanceOfSatisfying(
                        WorkerReplies.Config.class,
                        config -> assertThat(config.frame()).isSameAs(frame));
    }

    /** The frame goes to the client whole. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            ParseAndExtractImage | "config": {}, "log": {"level": "info", "message": "\u001b"}
            ParseAndExtractImage | "config": {}, "progress": null
            ParseAndExtractImage | "config": {"a": }
            ParseAndExtractImage | "config": []
            VerifyImage          | "config": {}
            DetectArchive        | "config": {}
            """)
    void an_early_configuration_comes_alone_and_where_it_is_expected(String method, String members) {
        String frame = """
                {"continues": true, "parameters": {%s}}
                """.formatted(members);
        assertThatThrownBy(() -> new WorkerReplies(IDL)
                        .read(
                                frame.getBytes(StandardCharsets.UTF_8),
                                IDL.method(method).output()))
                .isInstanceOf(VarlinkException.class);
    }

    @Test
    void long_texts_are_cut() throws Exception {
        WorkerReplies.Message message = read("""
                {"continues": true, "parameters": {"log": {"level": "warning", "message": "%s"}}}
                """.formatted("x".repeat(100_000)));
        assertThat(message).isInstanceOfSatisfying(WorkerReplies.Event.class, event -> {
            WorkerReplies.LogLine log = Objects.requireNonNull(event.log());
            assertThat(log.text()).hasSizeLessThan(10_000);
            assertThat(log.isProblem()).isTrue();
        });
    }

    /** The most important line that a worker can say: what it could not take back. */
    @Test
    void errors_in_the_log_are_problems() throws Exception {
        for (String level : List.of("info", "warning", "error")) {
            WorkerReplies.Message message = read("""
                    {"continues": true, "parameters": {"log": {"level": "%s", "message": "m"}}}""".formatted(level));
            assertThat(message)
                    .isInstanceOfSatisfying(
                            WorkerReplies.Event.class,
                            event -> assertThat(
                                            Objects.requireNonNull(event.log()).isProblem())
                                    .isEqualTo(!level.equals("info")));
        }
    }

    @Test
    void a_configuration_is_passed_on_as_it_is_and_not_kept() throws Exception {
        byte[] frame = """
                {"parameters": {"images": [], "manifest": {"mediaType": "m", "digest": "d", "size": 1},
                "platform": {"architecture": "a", "os": "o"}, "layers": [],
                "config": {"a": [{"b": 1}, "\\u0041"], "a": {}}, "rawConfig": "\\"x"}}
                """.getBytes(StandardCharsets.UTF_8);
        WorkerReplies.Message message =
                new WorkerReplies(IDL).read(frame, IDL.method("InspectImage").output());

        assertThat(message).isInstanceOfSatisfying(WorkerReplies.Reply.class, reply -> {
            assertThat(reply.frame()).isSameAs(frame);
            assertThat(reply.parameters()).containsEntry("config", Map.of()).containsEntry("rawConfig", "");
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            "config": 1
            "config": {"a": }
            "config": {"a": [}
            "rawConfig": 1
            """)
    void a_configuration_is_valid_json_all_the_same(String member) {
        String frame = """
                {"parameters": {"format": "tar", %s}}
                """.formatted(member);
        assertThatThrownBy(() -> read(frame)).isInstanceOf(VarlinkException.class);
    }
}
