package pve.oci.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** SECURITY.md names the tests that hold what it promises: they have to be there. */
class SecurityDocumentTest {
    private static final Path TREE = Path.of(System.getProperty("basedir", ""));
    private static final Pattern NAMED = Pattern.compile("`([^`]+)`");
    private static final Pattern CASE = Pattern.compile("[a-z]+(?:-[a-z0-9*]+)+");
    private static final Pattern CLASS = Pattern.compile("[A-Z]\\w+(?:Test|Fuzz)(?:\\.(\\w+))?");
    private static final Pattern SUBTESTS = Pattern.compile("`(t/[^`]+[.]t)` [(]([^()`]+)[)]");

    private static List<String> named(Pattern kind) throws IOException {
        return NAMED.matcher(Files.readString(TREE.resolve("SECURITY.md")))
                .results()
                .map(x -> x.group(1))
                .filter(x -> kind.matcher(x).matches())
                .toList();
    }

    /** Promises have a title in bold, in the sections of what somebody cannot do. */
    @Test
    void every_promise_names_a_test() throws IOException {
        Pattern test = Pattern.compile("`(t/[^`]+|" + CLASS + "|" + CASE + ")`");
        List<String> promises = Pattern.compile("(?m)^## ")
                .splitAsStream(Files.readString(TREE.resolve("SECURITY.md")))
                .filter(section -> section.lines().findFirst().orElse("").contains(" cannot do"))
                .flatMap(section ->
                        Pattern.compile("\n- (?=[*]{2})").splitAsStream(section).skip(1))
                .toList();

        assertThat(promises).hasSizeGreaterThan(30).allSatisfy(promise -> {
            int named = promise.indexOf("Tested by:");
            assertThat(named).as(promise).isPositive();
            assertThat(test.matcher(promise.substring(named)).find())
                    .as(promise)
                    .isTrue();
        });
    }

    @Test
    void names_cases_that_exist() throws IOException {
        List<String> cases =
                ConformanceCase.all().stream().map(ConformanceCase::name).toList();
        List<String> named = named(CASE);

        assertThat(named).hasSizeGreaterThan(40).allSatisfy(name -> {
            Pattern pattern = Pattern.compile(name.replace("*", ".*"));
            assertThat(cases).anyMatch(x -> pattern.matcher(x).matches());
        });
    }

    @Test
    void names_classes_and_methods_that_exist() throws IOException {
        List<Path> sources;
        try (Stream<Path> files = Files.walk(TREE.resolve("java/src/test/java"))) {
            sources = files.toList();
        }
        for (String name : named(CLASS)) {
            String[] parts = name.split("\\.", 2);
            Path source = sources.stream()
                    .filter(x -> x.endsWith(parts[0] + ".java"))
                    .findFirst()
                    .orElseThrow(() -> new AssertionError(name));
            if (parts.length > 1) {
                assertThat(Files.readString(source)).contains(" " + parts[1] + "(");
            }
        }
    }

    @Test
    void names_files_that_exist() throws IOException {
        assertThat(named(Pattern.compile("t/.*"))).hasSizeGreaterThan(5).allMatch(x -> Files.exists(TREE.resolve(x)));
    }

    /** In parentheses behind a file of t/: its subtests, in words that the file has. */
    @Test
    void names_subtests_that_exist() throws IOException {
        String document = Files.readString(TREE.resolve("SECURITY.md")).replaceAll("\\s+", " ");
        List<MatchResult> named = SUBTESTS.matcher(document).results().toList();

        assertThat(named).hasSizeGreaterThan(20);
        for (MatchResult each : named) {
            String test = Files.readString(TREE.resolve(each.group(1))).replace("\\'", "'");
            assertThat(each.group(2).split("[,;] ")).as(each.group(1)).allMatch(test::contains);
        }
    }
}
