package pve.oci.worker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimits;
import pve.oci.layer.LayerLimits;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.VarlinkException;

/** What a worker makes of the daemon's requests, and what it refuses by name. */
class JobRequestTest {
    private static final String EXTRACT = """
            {
              "archiveFileDescriptor": 0,
              "archiveName": "/x",
              "rootDirectoryFileDescriptor": 1,
              "selector": {"architecture": "aarch64", "variant": "", "referenceName": "r"},
              "uidMap": [{"inside": 0, "count": 10}],
              "gidMap": [{"inside": 5, "count": 1}],
              "limits": {"maximumSize": 7, "maximumEntries": 8, "maximumPaxSize": 9}
            }""";

    private static Map<String, @Nullable Object> parse(String json) throws JsonFormatException {
        return new LinkedHashMap<>(Json.parseObject(json.getBytes(StandardCharsets.UTF_8), JsonLimits.DEFAULT));
    }

    private static JobRequest extract(Map<String, @Nullable Object> parameters) throws VarlinkException {
        return JobRequest.of("io.pve.oci.worker.ParseAndExtractImage", parameters);
    }

    @Test
    void reads_maps_selector_and_limits() throws Exception {
        JobRequest request = extract(parse(EXTRACT));

        assertThat(request.action()).isEqualTo(JobRequest.Action.EXTRACT);
        assertThat(request.uids()).hasToString("0-9");
        assertThat(request.gids()).hasToString("5-5");
        assertThat(request.selector()).hasToString("linux/arm64 named 'r'");
        assertThat(request.limits().maximumSize()).isEqualTo(7);
        assertThat(request.limits().maximumEntries()).isEqualTo(8);
        assertThat(request.limits().tar().maximumPaxSize()).isEqualTo(9);
    }

    @Test
    void limits_that_are_not_given_are_the_engines() throws Exception {
        Map<String, @Nullable Object> parameters = parse(EXTRACT);
        parameters.put("limits", Map.of());
        parameters.put("selector", Map.of());

        assertThat(extract(parameters).limits()).isEqualTo(LayerLimits.DEFAULT);
        assertThat(extract(parameters).selector().architecture()).isNotEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            uidMap                      |                               | uidMap
            gidMap                      |                               | gidMap
            limits                      |                               | limits
            selector                    |                               | selector
            archiveFileDescriptor       |                               | archiveFileDescriptor
            rootDirectoryFileDescriptor |                               | rootDirectoryFileDescriptor
            uidMap                      | []                            | uidMap
            gidMap                      | []                            | gidMap
            uidMap                      | {}                            | uidMap
            uidMap                      | "0 100000 65536"              | uidMap
            uidMap                      | [1]                           | uidMap[0]
            uidMap                      | [{"inside":0}]                | uidMap[0].count
            uidMap                      | [{"inside":0,"count":"1"}]    | uidMap[0].count
            uidMap                      | [{"inside":-1,"count":1}]     | uidMap[0]
            gidMap                      | [{"inside":0,"count":0}]      | gidMap[0]
            gidMap                      | [{"inside":1,"count":4294967295}] | gidMap[0]
            limits                      | {"maximumSize":"1"}           | limits.maximumSize
            limits                      | {"maximumSize":-1}            | limits.maximumSize
            limits                      | {"maximumPaxSize":4294967296} | limits.maximumPaxSize
            limits                      | {"maximumSizes":1}            | limits.maximumSizes
            archiveName                 | 1                             | archiveName
            action                      | "extract"                     | action
            existing                    | []                            | existing
            """)
    void names_the_parameter_that_is_missing_wrong_or_unknown(String field, String value, String named)
            throws Exception {
        Map<String, @Nullable Object> parameters = parse(EXTRACT);
        if (value == null) {
            parameters.remove(field);
        } else {
            parameters.put(field, Json.parse(value.getBytes(StandardCharsets.UTF_8), JsonLimits.DEFAULT));
        }

        assertThatThrownBy(() -> extract(parameters)).isInstanceOfSatisfying(VarlinkException.class, e -> {
            assertThat(e.error()).isEqualTo("org.varlink.service.InvalidParameter");
            assertThat(e.parameters()).containsEntry("parameter", named);
        });
    }

    @Test
    void refuses_an_unknown_method() {
        assertThatThrownBy(() -> JobRequest.of("io.pve.oci.worker.Format", Map.of()))
                .isInstanceOfSatisfying(
                        VarlinkException.class,
                        e -> assertThat(e.error()).isEqualTo("org.varlink.service.MethodNotFound"));
    }

    @Test
    void every_method_of_the_interface_is_an_action() throws Exception {
        Idl idl = IdlParser.ofResource("/io.pve.oci.worker.varlink");
        TreeSet<String> methods = new TreeSet<>();
        for (JobRequest.Action action : JobRequest.Action.values()) {
            methods.add(action.method().substring(idl.name().length() + 1));
        }
        assertThat(methods).isEqualTo(new TreeSet<>(idl.methods().keySet()));
    }

    @Test
    void every_limit_of_the_interface_is_read() throws Exception {
        Idl idl = IdlParser.ofResource("/io.pve.oci.worker.varlink");
        for (String limit : idl.struct("Limits").fields().keySet()) {
            Map<String, @Nullable Object> parameters = parse(EXTRACT);
            parameters.put("limits", Map.of());
            JobRequest without = extract(parameters);
            parameters.put("limits", Map.of(limit, 3));
            assertThat(extract(parameters)).as(limit).isNotEqualTo(without);
        }
    }
}
