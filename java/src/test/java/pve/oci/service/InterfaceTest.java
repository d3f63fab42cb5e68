package pve.oci.service;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import pve.oci.oci.ImageError;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.IdlType;

/** Compares the interface definition with the code. */
class InterfaceTest {
    private static final Idl IDL = IdlParser.ofResource("/io.pve.oci.varlink");
    private static final Idl WORKER = IdlParser.ofResource("/io.pve.oci.worker.varlink");
    private static final Path SOURCES = Path.of("java/src/main/java/pve/oci");

    @Test
    void every_error_has_a_message() {
        IDL.errors()
                .forEach((name, fields) ->
                        assertThat(fields.fields()).as(name).containsEntry("message", IdlType.Basic.STRING));
    }

    @Test
    void every_type_is_used() {
        for (String type : IDL.types().keySet()) {
            assertThat(Pattern.compile("[:?\\])] *" + type + "\\b")
                            .matcher(IDL.text())
                            .find())
                    .as(type)
                    .isTrue();
        }
    }

    /** Errors are made by name, in service as error("Name", ...), elsewhere as "io.pve.oci.Name" or "Name". */
    @Test
    void errors_of_the_daemon_are_defined() throws IOException {
        Set<String> named = new TreeSet<>();
        Matcher matcher = Pattern.compile("(?:error\\(|PREFIX \\+ )\\s*\"([A-Z][A-Za-z]+)\"")
                .matcher(Files.readString(SOURCES.resolve("service/OciErrors.java"), StandardCharsets.UTF_8));
        while (matcher.find()) {
            named.add(matcher.group(1));
        }
        assertThat(named).isNotEmpty();
        assertThat(IDL.errors().keySet()).containsAll(named);
    }

    @Test
    void errors_of_images_are_defined_and_each_is_made_somewhere() throws IOException {
        String code = code();
        for (ImageError error : ImageError.values()) {
            assertThat(IDL.errors()).containsKey(error.definition());
            assertThat(code).contains("ImageError." + error);
        }
        assertThat(code).doesNotContain("ImageException.of(\"");
    }

    @Test
    void every_error_is_made_by_some_code() throws IOException {
        String code = code();
        Set<String> unused = new TreeSet<>();
        for (String error : IDL.errors().keySet()) {
            if (!Pattern.compile("\"(io\\.pve\\.oci\\.)?" + error + "\"")
                    .matcher(code)
                    .find()) {
                unused.add(error);
            }
        }
        assertThat(unused).isEmpty();
    }

    @Test
    void every_method_that_works_on_an_image_has_the_workers_method() {
        for (ImageMethod method : ImageMethod.values()) {
            assertThat(ImageMethod.ofName(method.method())).isEqualTo(method);
            assertThat(IDL.method(method.method()).output().fields().keySet()).containsAll(method.requiredInReply());
            assertThat(WORKER.methods()).containsKey(method.method());
        }
    }

    @Test
    void types_that_both_interfaces_have_are_the_same() {
        Set<String> shared = new TreeSet<>(WORKER.types().keySet());
        shared.retainAll(IDL.types().keySet());
        assertThat(shared).containsExactly("ImageSelector", "Progress");
        shared.forEach(type ->
                assertThat(WORKER.types().get(type)).isEqualTo(IDL.types().get(type)));
    }

    private static String code() throws IOException {
        StringBuilder code = new StringBuilder();
        try (var files = Files.walk(SOURCES)) {
            for (Path file :
                    files.filter(path -> path.toString().endsWith(".java")).toList()) {
                code.append(Files.readString(file, StandardCharsets.UTF_8));
            }
        }
        return code.toString();
    }
}
