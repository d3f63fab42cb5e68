package pve.oci.oci;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import pve.oci.text.Text;

/** The machine that an image is for (image-index.md, platform). Architectures are spelled as Go spells them. */
public record Platform(
        String architecture, String os, @Nullable String variant) {
    /** Other spellings, of uname(2) and of Debian, that people and tools use for Go's. */
    private static final Map<String, String> ARCHITECTURES = Map.ofEntries(
            Map.entry("x86_64", "amd64"),
            Map.entry("x86-64", "amd64"),
            Map.entry("aarch64", "arm64"),
            Map.entry("armhf", "arm"),
            Map.entry("armv7l", "arm"),
            Map.entry("i386", "386"),
            Map.entry("i686", "386"),
            Map.entry("ppc64el", "ppc64le"),
            Map.entry("riscv32", "riscv"));

    /** Go's spelling of an architecture given as uname(2), Debian or Go have it. */
    public static String goArchitecture(String architecture) {
        String lower = architecture.toLowerCase(Locale.ROOT);
        return ARCHITECTURES.getOrDefault(lower, lower);
    }

    /** The architecture this program runs on. */
    public static String hostArchitecture() {
        return goArchitecture(System.getProperty("os.arch", "amd64"));
    }

    static @Nullable Platform of(@Nullable Document document) throws ImageFormatException {
        if (document == null) {
            return null;
        }
        String architecture = document.optionalString("architecture");
        String os = document.optionalString("os");
        if (architecture == null || architecture.isEmpty()) {
            return null;
        }
        String variant = document.optionalString("variant");
        return new Platform(
                architecture,
                os == null || os.isEmpty() ? "linux" : os,
                variant == null || variant.isEmpty() ? null : variant);
    }

    /** "linux/arm/v7", as people write it. */
    @Override
    public String toString() {
        return Text.clean(os + "/" + architecture + (variant == null ? "" : "/" + variant));
    }

    /** The interface's type Platform. */
    public Map<String, @Nullable Object> toJson() {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("architecture", architecture);
        json.put("os", os);
        if (variant != null) {
            json.put("variant", variant);
        }
        return json;
    }
}
