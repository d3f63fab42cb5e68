package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import pve.oci.varlink.Idl;
import pve.oci.varlink.VarlinkException;

/** What a hostile worker may try to say. */
class WorkerRepliesTest {
    private static final Idl IDL = Idl.ofResource("/io.pve.oci.varlink");

    private static WorkerReplies.Message read(String json) throws VarlinkException {
        return new WorkerReplies(IDL)
                .read(
                        json.getBytes(StandardCharsets.ISO_8859_1),
                        IDL.method("DetectArchive").output());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "null",
                "\"reply\"",
                "\377\376",
                "{\"parameters\":[]}",
                "{\"parameters\":{}}",
                "{\"parameters\":{\"format\":\"mine\"}}",
                "{\"parameters\":{\"format\":1}}",
                "{\"parameters\":{\"format\":\"tar\",\"more\":1}}",
                "{\"parameters\":{\"format\":\"tar\",\"format\":\"tar\"}}",
                "{\"error\":1}",
                "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"a\"}}",
                "{\"error\":\"io.pve.oci.Nope\",\"parameters\":{\"message\":\"a\"}}",
                "{\"error\":\"io.pve.oci.PermissionDenied\"}",
                "{\"error\":\"io.pve.oci.PermissionDenied\",\"parameters\":{\"message\":1}}",
                "{\"error\":\"io.pve.oci.PermissionDenied\",\"parameters\":{\"message\":\"a\",\"x\":1}}",
                "{\"continues\":true,\"parameters\":{\"progress\":{}}}",
                "{\"continues\":true,\"parameters\":{\"progress\":{\"phase\":\"x\",\"bytesRead\":1,\"bytesTotal\":1,"
                        + "\"entriesWritten\":1,\"bytesWritten\":1}}}",
                "{\"continues\":true,\"parameters\":{\"progress\":{\"phase\":\"parsing\",\"bytesRead\":1e400,"
                        + "\"bytesTotal\":1,\"entriesWritten\":1,\"bytesWritten\":1}}}",
                "{\"continues\":true,\"parameters\":{\"existing\":\"a\"}}",
                "{\"continues\":true,\"parameters\":{\"existing\":[1]}}",
                "{\"continues\":true,\"parameters\":{\"log\":{\"level\":1}}}",
            })
    void refuses(String json) {
        assertThatThrownBy(() -> read(json))
                .isInstanceOfSatisfying(
                        VarlinkException.class, e -> assertThat(e.error()).isEqualTo("io.pve.oci.WorkerFailed"));
    }

    @Test
    void error_text_is_one_clean_line() throws Exception {
        WorkerReplies.Message message = read(
                "{\"error\":\"io.pve.oci.MalformedArchive\",\"parameters\":{\"message\":\"a\\nb\\u001b[2Jc\\u2028\"}}");
        assertThat(message)
                .isInstanceOfSatisfying(
                        WorkerReplies.ErrorReply.class,
                        error -> assertThat(error.error().parameters())
                                .containsEntry("message", "a\\x0ab\\x1b[2Jc\\xe2\\x80\\xa8"));
    }

    @Test
    void long_texts_are_cut() throws Exception {
        WorkerReplies.Message message = read("{\"continues\":true,\"parameters\":{\"log\":{\"level\":\"warn\","
                + "\"message\":\"" + "x".repeat(100_000) + "\"}}}");
        assertThat(message)
                .isInstanceOfSatisfying(
                        WorkerReplies.LogMessage.class,
                        log -> assertThat(log.text()).hasSizeLessThan(10_000));
    }
}
