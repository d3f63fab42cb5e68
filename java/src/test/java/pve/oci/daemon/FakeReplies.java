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

    static final String DETECTED = """
            say {"parameters": {"format": "ociArchive", "layoutVersion": "1.0.0"}}""";

    private FakeReplies() {}

    static String progress(int entries) {
        return """
                {"continues": true, "parameters": {"progress": {"phase": "extracting", "bytesRead": 1, \
                "bytesTotal": 2, "entriesWritten": %d, "bytesWritten": 4}}}""".formatted(entries);
    }

    /** What a worker says that it has found in the root directory: names of directories. */
    static String existing(String... names) {
        List<String> entries = List.of(names).stream().map("""
                        {"path": "%s", "isDirectory": false}"""::formatted).toList();
        return """
                say {"continues": true, "parameters": {"existing": [%s]}}""".formatted(String.join(",", entries));
    }
}
