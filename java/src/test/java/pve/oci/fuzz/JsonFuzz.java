package pve.oci.fuzz;

import java.util.Objects;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.json.JsonFormatException;
import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.oci.DockerManifest;
import pve.oci.oci.ImageConfig;
import pve.oci.oci.ImageFormatException;
import pve.oci.oci.Index;
import pve.oci.oci.LayoutVersion;
import pve.oci.oci.Manifest;

/** JSON: what is read can be written and read again; and every document of an image is refused in an orderly manner. */
public final class JsonFuzz {
    private static final JsonLimits LIMITS = new JsonLimits(20, 100_000, 1000);

    private JsonFuzz() {}

    private interface FuzzedParser {
        @Nullable
        Object parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException;
    }

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) throws JsonFormatException {
        for (FuzzedParser parser : new FuzzedParser[] {
            Index::parse, Manifest::parse, ImageConfig::parse, LayoutVersion::parse, DockerManifest::parse
        }) {
            try {
                parser.parse(input, LIMITS);
            } catch (ImageFormatException | JsonLimitException e) {
                checkMessage(String.valueOf(e.getMessage()));
            }
        }
        Object value;
        try {
            value = Json.parse(input, LIMITS);
        } catch (JsonFormatException e) {
            return;
        }
        // written, numbers and escapes may be longer
        Object again = Json.parse(Json.write(value), JsonLimits.DEFAULT);
        if (!Objects.equals(value, again)) {
            throw new AssertionError(value + " is read again as " + again);
        }
    }

    private static void checkMessage(String message) {
        if (message.chars().anyMatch(c -> c < 0x20 || c == 0x7f)) {
            throw new AssertionError("control character in a message");
        }
    }
}
