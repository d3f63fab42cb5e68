package pve.oci.daemon;

import java.util.List;
import java.util.Map;

/** What an honest worker would say. */
final class FakeReplies {
    static final Map<String, Object> EXTRACT_RESULT = Map.of(
            "manifestDigest",
            "sha256:aa",
            "configDigest",
            "sha256:bb",
            "platform",
            Map.of("architecture", "amd64", "os", "linux"),
            "entriesWritten",
            3,
            "bytesWritten",
            4,
            "whiteoutsApplied",
            0,
            "warnings",
            List.of(),
            "warningsCount",
            0);

    static final String DETECTED = "say {\"parameters\":{\"format\":\"ociArchive\",\"layoutVersion\":\"1.0.0\"}}";

    private FakeReplies() {}

    static String progress(int entries) {
        return "{\"parameters\":{\"progress\":{\"phase\":\"extracting\",\"bytesRead\":1,\"bytesTotal\":2,"
                + "\"entriesWritten\":" + entries + ",\"bytesWritten\":4}},\"continues\":true}";
    }

    /** The first progress of an extraction, which tells what directories stood in the root directory. */
    static String existing(String... names) {
        return "say {\"parameters\":{\"progress\":{\"phase\":\"extracting\",\"bytesRead\":0,\"bytesTotal\":2,"
                + "\"entriesWritten\":0,\"bytesWritten\":0},\"existing\":["
                + String.join(
                        ",", List.of(names).stream().map(n -> '"' + n + '"').toList()) + "]},\"continues\":true}";
    }
}
