package pve.oci.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.layer.LayerLimits;
import pve.oci.tar.TarLimits;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;

class ConfigurationTest {
    /** Limits that file systems and formats set, and the record that holds the others. */
    private static final Set<String> ENGINE_ONLY =
            Set.of("tar", "maximumLongNameSize", "maximumXattrNameSize", "maximumFileSize");

    @TempDir
    private Path directory;

    private Configuration read(String text) throws IOException {
        return Configuration.read(file(text), Map.of());
    }

    private Path file(String text) throws IOException {
        return Files.writeString(directory.resolve("pve-ocid.conf"), text);
    }

    @Test
    void has_defaults_for_what_is_not_set() throws IOException {
        Configuration configuration = read("# nothing\n\n");
        for (Setting setting : Setting.values()) {
            assertThat(configuration.value(setting)).as(setting.key).isEqualTo(setting.defaultValue);
        }
        assertThat(configuration.workerOptions()).isEmpty();
    }

    @Test
    void takes_keys_values_and_comments() throws IOException {
        Configuration configuration = read("jobs=3\n  # hang = 1\n maximum-size = 10G \nallow-any-id-map = yes\n");
        assertThat(configuration.number(Setting.JOBS)).isEqualTo(3);
        assertThat(configuration.value(Setting.HANG)).isEqualTo(60);
        assertThat(configuration.isOn(Setting.ALLOW_ANY_ID_MAP)).isTrue();
        assertThat(configuration.workerOptions()).isEqualTo(Map.of("maximumSize", 10L << 30));
    }

    @ParameterizedTest
    @CsvSource({
        "jobs = 0, jobs is a number from 1 to 1024",
        "jobs = many, jobs is a number",
        "jobs = 1K, jobs is a number",
        "jobs =, 'jobs is a number from 1 to 1024, not: nothing'",
        "maximum-size = 99999999999999999T, maximum-size is a number",
        "maximum-size = 20GB, 'maximum-size is a number from 1 to 1048576T (K, M, G or T may follow it), not: 20GB'",
        "verbose = perhaps, verbose is yes or no",
        "maximum-sizes = 1, unknown key: maximum-sizes",
        "jobs 3, not of the form key = value: jobs 3",
    })
    void refuses_wrong_lines_by_number(String line, String reason) {
        assertThatThrownBy(() -> read("queue = 1\n\n" + line + "\n"))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("pve-ocid.conf:3: " + reason);
    }

    @Test
    void refuses_a_key_that_is_set_twice() {
        assertThatThrownBy(() -> read("jobs = 1\njobs = 1\n"))
                .hasMessageContaining("pve-ocid.conf:2: jobs is set a second time");
    }

    @Test
    void lets_the_command_line_win() throws Exception {
        DaemonOptions options = DaemonOptions.parse("--jobs", "7", "--verbose", "--queue=2");
        Configuration configuration = Configuration.read(file("jobs = 3\nspares = 1\n"), options.settings());
        assertThat(configuration.number(Setting.JOBS)).isEqualTo(7);
        assertThat(configuration.number(Setting.QUEUE)).isEqualTo(2);
        assertThat(configuration.number(Setting.SPARES)).isEqualTo(1);
        assertThat(configuration.isOn(Setting.VERBOSE)).isTrue();
    }

    @Test
    void refuses_a_file_that_was_named_and_is_missing() {
        assertThatThrownBy(() -> Configuration.read(directory.resolve("none"), Map.of()))
                .isInstanceOf(IOException.class);
    }

    @Test
    void knows_the_engines_defaults() {
        LayerLimits layer = LayerLimits.DEFAULT;
        TarLimits tar = layer.tar();
        Map<Setting, Long> engine = Map.ofEntries(
                Map.entry(Setting.MAXIMUM_SIZE, layer.maximumSize()),
                Map.entry(Setting.MAXIMUM_ENTRIES, layer.maximumEntries()),
                Map.entry(Setting.MAXIMUM_STEPS, layer.maximumSteps()),
                Map.entry(Setting.MAXIMUM_RATIO, layer.maximumRatio()),
                Map.entry(Setting.BANDWIDTH_LIMIT, layer.bandwidthLimit()),
                Map.entry(Setting.READ_AHEAD, layer.readAhead()),
                Map.entry(Setting.ZSTD_WINDOW_LOG, (long) layer.zstdWindowLog()),
                Map.entry(Setting.MAXIMUM_NAME_SIZE, (long) tar.maximumNameSize()),
                Map.entry(Setting.MAXIMUM_PAX_SIZE, (long) tar.maximumPaxSize()),
                Map.entry(Setting.MAXIMUM_XATTR_SIZE, (long) tar.maximumXattrSize()),
                Map.entry(Setting.MAXIMUM_XATTRS, (long) tar.maximumXattrs()),
                Map.entry(Setting.MAXIMUM_SPARSE_REGIONS, (long) tar.maximumSparseRegions()));
        engine.forEach((setting, value) ->
                assertThat(setting.defaultValue).as(setting.key).isEqualTo(value));
    }

    @Test
    void a_limit_has_one_name_from_the_setting_to_the_engine() {
        Idl worker = IdlParser.ofResource("/io.pve.oci.worker.varlink");
        Set<String> options = new TreeSet<>();
        for (Setting setting : Setting.values()) {
            if (setting.workerOption != null) {
                Matcher words = Pattern.compile("-(.)").matcher(setting.key);
                String name = words.replaceAll(word -> word.group(1).toUpperCase(Locale.ROOT));
                assertThat(setting.workerOption).isEqualTo(name);
                options.add(name);
            }
        }
        assertThat(worker.struct("Limits").fields().keySet()).isEqualTo(options);
        for (Class<?> engine : List.of(TarLimits.class, LayerLimits.class)) {
            Stream.of(engine.getRecordComponents())
                    .map(RecordComponent::getName)
                    .filter(name -> !ENGINE_ONLY.contains(name))
                    .forEach(name -> assertThat(options).contains(name));
        }
    }

    @Test
    void has_a_template_that_says_the_defaults() throws IOException {
        String template = ConfigurationTemplate.asFile();
        // what depends on the machine has no value there
        assertThat(template).contains("\n#jobs =\n");
        String uncommented = template.replace("#jobs =\n", "jobs = " + Setting.JOBS.defaultValue + "\n")
                .replaceAll("(?m)^#(?=[a-z])", "");
        Configuration configuration = read(uncommented);
        assertThat(uncommented.lines().filter(line -> line.contains(" = "))).hasSize(Setting.values().length);
        assertThat(configuration.differenceFrom(read(""))).isEmpty();
    }
}
