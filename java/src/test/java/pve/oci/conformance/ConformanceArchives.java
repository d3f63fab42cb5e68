package pve.oci.conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;

/**
 * Writes the cases for tests outside of this process: NAME.tar and NAME.json with what is expected, into the folder
 * that the first argument names.
 */
public final class ConformanceArchives {
    private static final Map<String, String> OPTIONS = Map.of(
            "architecture",
            "--arch",
            "variant",
            "--variant",
            "referenceName",
            "--reference",
            "manifestDigest",
            "--manifest",
            "maximumSize",
            "--max-bytes",
            "maximumEntries",
            "--max-entries");

    private ConformanceArchives() {}

    /** Writes them all. */
    public static void main(String[] arguments) throws IOException {
        Path folder = Files.createDirectories(Path.of(arguments[0]));
        for (ConformanceCase conformanceCase : ConformanceCase.all()) {
            Files.write(folder.resolve(conformanceCase.name() + ".tar"), conformanceCase.archive());
            Map<String, @Nullable Object> expected = new LinkedHashMap<>();
            expected.put("arguments", arguments(conformanceCase));
            expected.put("error", conformanceCase.error());
            expected.put("tree", conformanceCase.tree());
            expected.put("latin1", conformanceCase.isLatin1());
            Files.write(folder.resolve(conformanceCase.name() + ".json"), Json.write(expected));
        }
    }

    /** Options of the command pve-oci for what the case asks for. */
    private static List<String> arguments(ConformanceCase conformanceCase) {
        List<String> arguments = new ArrayList<>();
        OPTIONS.forEach((member, option) -> {
            Object value = conformanceCase.selector().get(member);
            value = value == null ? conformanceCase.options().get(member) : value;
            if (value != null) {
                arguments.add(option);
                arguments.add(String.valueOf(value));
            }
        });
        return arguments;
    }
}
