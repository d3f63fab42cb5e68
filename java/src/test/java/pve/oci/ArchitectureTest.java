package pve.oci;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import pve.oci.linux.CString;

/** Which package may use which: the table of ARCHITECTURE.md. And other rules for the whole tree. */
@AnalyzeClasses(packages = "pve.oci", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    private static final String ROOT = "pve.oci.";

    /** Package: the packages that it may use. One that is not in the table may not exist. */
    private static final Map<String, List<String>> ALLOWED = Map.ofEntries(
            Map.entry("daemon", List.of("service", "varlink", "linux", "json", "text")),
            Map.entry("service", List.of("rootfs", "varlink", "linux", "json", "text")),
            // frames are sent with descriptors, over sockets
            Map.entry("varlink", List.of("linux", "json")),
            Map.entry("embedded", List.of("worker")),
            // of tar the worker uses only the limits, of compress only what tells a blob's compression by its first
            // bytes
            Map.entry(
                    "worker",
                    List.of(
                            "update",
                            "mtree",
                            "archive",
                            "layer",
                            "rootfs",
                            "oci",
                            "tar",
                            "compress",
                            "varlink",
                            "linux",
                            "json",
                            "text")),
            Map.entry("archive", List.of("tar", "compress", "oci", "linux", "json", "text")),
            // layer reads blobs from the archive
            Map.entry("layer", List.of("archive", "tar", "compress", "rootfs", "oci", "linux", "text")),
            Map.entry("rootfs", List.of("linux", "text")),
            Map.entry("compress", List.of("linux")),
            Map.entry("oci", List.of("json", "text")),
            Map.entry("mtree", List.of("rootfs", "compress", "oci", "linux", "text")),
            Map.entry("update", List.of("mtree", "rootfs", "linux", "json", "text")),
            Map.entry("text", List.of()),
            Map.entry("tar", List.of()),
            Map.entry("json", List.of()),
            Map.entry("linux", List.of()));

    /** Library, and the only packages that may use it. */
    private static final Map<String, List<String>> LIBRARIES = Map.of(
            "com.sun.jna", List.of("linux"),
            // connections; the worker starts without it
            "org.newsclub", List.of("linux", "daemon"),
            "com.fasterxml.jackson.core", List.of("json", "service"),
            "com.fasterxml.jackson.databind", List.of("service"),
            "com.github.luben.zstd", List.of("compress"),
            "ch.qos.logback", List.of("daemon"),
            "org.slf4j", List.of("daemon", "service", "varlink"),
            "org.apache.commons.compress", List.of("daemon"));

    /**
     * A string that nothing refers to may be freed while the kernel reads it. So only static fields may hold one;
     * others are lent for a call.
     */
    @ArchTest
    static void native_strings_of_a_class_live_as_long_as_it(JavaClasses classes) {
        List<String> others = classes.stream()
                .flatMap(each -> each.getMethodCallsFromSelf().stream())
                .filter(call -> call.getTargetOwner().isEquivalentTo(CString.class))
                .filter(call -> call.getName().equals("of"))
                .filter(call -> !call.getOriginOwner().isEquivalentTo(CString.class))
                .filter(call -> !call.getOrigin().getName().equals("<clinit>"))
                .map(call -> call.getDescription())
                .toList();
        Assertions.assertEquals(List.of(), others);
    }

    @ArchTest
    static void every_package_uses_only_what_the_table_allows(JavaClasses classes) {
        Set<String> wrong = new TreeSet<>();
        for (JavaClass from : classes) {
            String user = packageOf(from.getPackageName());
            from.getDirectDependenciesFromSelf().forEach(dependency -> {
                String target =
                        dependency.getTargetClass().getBaseComponentType().getPackageName();
                if (target.startsWith(ROOT)
                        && !packageOf(target).equals(user)
                        && !ALLOWED.getOrDefault(user, List.of()).contains(packageOf(target))) {
                    wrong.add(user + " -> " + packageOf(target) + ": " + dependency.getDescription());
                }
            });
            if (!user.isEmpty() && !ALLOWED.containsKey(user)) {
                wrong.add(user + " is not in the table");
            }
        }
        Assertions.assertEquals(Set.of(), wrong);
    }

    /** A row that nothing uses any more would let a new dependency pass unseen. */
    @ArchTest
    static void every_row_of_the_table_is_used(JavaClasses classes) {
        Map<String, Set<String>> used = new TreeMap<>();
        for (JavaClass from : classes) {
            Set<String> targets = used.computeIfAbsent(packageOf(from.getPackageName()), x -> new TreeSet<>());
            from.getDirectDependenciesFromSelf().forEach(dependency -> {
                String target =
                        dependency.getTargetClass().getBaseComponentType().getPackageName();
                targets.add(packageOf(target));
            });
        }
        Set<String> unused = new TreeSet<>();
        ALLOWED.forEach((user, targets) -> targets.stream()
                .filter(target -> !used.getOrDefault(user, Set.of()).contains(target))
                .forEach(target -> unused.add(user + " -> " + target)));
        Assertions.assertEquals(Set.of(), unused);
    }

    /** The document's rows are "| `package` | what it is | may use |". */
    @ArchTest
    static void the_document_has_the_same_table(JavaClasses classes) throws IOException {
        String document =
                Files.readString(Path.of(System.getProperty("basedir", "")).resolve("ARCHITECTURE.md"));
        Map<String, List<String>> documented = new TreeMap<>();
        Pattern.compile("^\\| `([a-z]+)` \\| [^|]* \\|([^|]*)\\|$", Pattern.MULTILINE)
                .matcher(document)
                .results()
                .forEach(row -> documented.put(
                        row.group(1),
                        row.group(2).isBlank()
                                ? List.of()
                                : List.of(row.group(2).strip().split(", ", -1))));
        Assertions.assertEquals(new TreeMap<>(ALLOWED), documented);
    }

    private static String packageOf(String name) {
        return name.startsWith(ROOT) ? name.substring(ROOT.length()).split("\\.", -1)[0] : "";
    }

    @ArchTest
    static void libraries_stay_where_they_are_meant(JavaClasses classes) {
        LIBRARIES.forEach((library, users) -> noClasses()
                .that()
                .resideOutsideOfPackages(
                        users.stream().map(user -> ROOT + user + "..").toArray(String[]::new))
                .should()
                .dependOnClassesThat()
                .resideInAPackage(library + "..")
                .check(classes));
    }

    @ArchTest
    static void packages_have_no_cycles(JavaClasses classes) {
        slices().matching("pve.oci.(*)..").should().beFreeOfCycles().check(classes);
    }

    /** Of nested classes the inner name counts. */
    @ArchTest
    static void no_type_name_twice(JavaClasses classes) {
        Map<String, String> places = new TreeMap<>();
        Set<String> twice = new TreeSet<>();
        for (JavaClass type : classes) {
            // anonymous classes have no name, package-info.java is no type
            if (!type.getSimpleName().isEmpty() && !type.getSimpleName().equals("package-info")) {
                String other = places.put(type.getSimpleName(), type.getName());
                if (other != null) {
                    twice.add(other + " and " + type.getName());
                }
            }
        }
        Assertions.assertEquals(Set.of(), twice);
    }

    /** A nested class belongs to the file that it is in. */
    @ArchTest
    static void files_have_no_cycles(JavaClasses classes) {
        slices().assignedFrom(new SliceAssignment() {
                    @Override
                    public SliceIdentifier getIdentifierOf(JavaClass type) {
                        return SliceIdentifier.of(fileOf(type));
                    }

                    @Override
                    public String getDescription() {
                        return "files";
                    }
                })
                .should()
                .beFreeOfCycles()
                .check(classes);
    }

    private static String fileOf(JavaClass type) {
        return type.getName().split("\\$", -1)[0];
    }

    @ArchTest
    static void no_source_file_is_longer_than_400_lines(JavaClasses classes) throws IOException {
        Path sources = Path.of(System.getProperty("basedir", "")).resolve("java/src");
        Set<String> tooLong = new TreeSet<>();
        try (Stream<Path> files = Files.walk(sources)) {
            for (Path file :
                    files.filter(path -> path.toString().endsWith(".java")).toList()) {
                if (Files.readAllLines(file).size() > 400) {
                    tooLong.add(file.toString());
                }
            }
        }
        Assertions.assertEquals(Set.of(), tooLong);
    }

    @ArchTest
    static void images_paths_never_reach_java_files(JavaClasses classes) {
        noClasses()
                .that()
                .resideInAnyPackage(ROOT + "rootfs..", ROOT + "layer..", ROOT + "tar..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("java.nio.file..")
                .orShould()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.io.File")
                .check(classes);
    }
}
