package pve.oci.oci;

import pve.oci.json.JsonLimitException;
import pve.oci.json.JsonLimits;
import pve.oci.text.Text;

/** The file {@code oci-layout} (image-layout.md, oci-layout file). */
public record LayoutVersion(String version) {
    /** Refuses a layout of another major version than 1. */
    public static LayoutVersion parse(byte[] json, JsonLimits limits) throws ImageFormatException, JsonLimitException {
        String version = Document.parse(json, limits).string("imageLayoutVersion");
        if (!version.startsWith("1.")) {
            throw new ImageFormatException(
                    "/imageLayoutVersion", "unsupported layout version '" + Text.clean(version) + "'");
        }
        return new LayoutVersion(version);
    }
}
